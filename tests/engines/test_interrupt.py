"""Ctrl-C on a real process: it stops soon, keeps what is finished, leaves nothing half made, and can be started again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from disc_media import disc_plan

from mmfa_components.registry import Registry
from pipelines.config.schema import Part
from pipelines.runs.run import run_plan

SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from rich.console import Console
from disc_face import disc_registry
from disc_media import disc_plan
from pipelines.config.schema import Part
from pipelines.runs.run import run_plan

plan = disc_plan(Path(sys.argv[2]), [Path(sys.argv[3])], [Path(p) for p in sys.argv[4:]], animator=Part("disc", {"slow": 0.4}))
sys.exit(run_plan(plan, disc_registry(), Console(width=200)).exit_code)
"""


def test_ctrl_c_keeps_finished_results_and_says_what_is_left(tmp_path: Path, media: Any, registry: Registry, screen: Any) -> None:
    tests = Path(__file__).parents[1]
    command = [sys.executable, "-c", SCRIPT, str(tests), str(tmp_path), str(media.red), str(media.short), str(media.swing)]
    process = subprocess.Popen(command, cwd=tests.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    out = tmp_path / "out"
    first, second = out / "red__short.mp4", out / "red__swing.mp4"
    try:
        deadline = time.monotonic() + 60
        while not first.exists():
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.02)
        time.sleep(0.8)  # in the middle of the second result, which takes about three seconds
        process.send_signal(signal.SIGINT)
        asked = time.monotonic()
        text, _ = process.communicate(timeout=30)
        assert time.monotonic() - asked < 10
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert process.returncode == 130, text
    assert "Traceback" not in text
    assert "interrupted" in text
    assert sorted(p.name for p in out.iterdir()) == [first.name, "report.json"]
    body = json.loads((out / "report.json").read_text())
    assert [j["status"] for j in body["jobs"]] == ["done", "left"]
    assert body["exit_code"] == 130
    plan = disc_plan(tmp_path, [media.red], [media.short, media.swing], animator=Part("disc", {"slow": 0.4}))
    again = run_plan(plan, registry, screen.console)
    assert [j.status for j in again.jobs] == ["skipped", "done"], screen.text
    assert second.is_file()
