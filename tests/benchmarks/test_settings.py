"""Settings of a benchmark in processes of their own: rows of those that work, errors of those that do not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.gpu_watch import GpuWatch
from benchmarks.settings import in_child, run_settings

CHILD = """
import json, os, sys, time
what, row = sys.argv[-3], sys.argv[-1]
if what == "fail":
    raise ValueError("no such luck")
if what == "hang":
    open(os.environ.get("NOTE", os.devnull), "w").write(str(os.getpid()))
    time.sleep(60)
open(row, "w").write(json.dumps({"what": what, "told": os.environ.get("TOLD", ""), "shared": sys.argv[1]}))
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "some_setting.py").write_text(CHILD, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    return "some_setting"


def test_a_setting_that_fails_does_not_end_the_others(child: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = [(["one"], {"TOLD": "x"}), (["fail"], {}), (["two"], {})]
    out = tmp_path / "out.json"
    rows = run_settings(child, ["shared"], settings, facts={"a": 1}, limit=30, out=out, complete=lambda row, before: {**row, "before": len(before)})
    assert [row.get("what") for row in rows] == ["one", None, "two"]
    assert (rows[0]["told"], rows[2]["told"]) == ("x", "")
    assert rows[1]["error"].startswith("ended with status 1: ")
    assert rows[1]["error"].endswith("ValueError: no such luck")
    assert [row["before"] for row in rows] == [0, 1, 2]
    assert "ValueError: no such luck" in (tmp_path / "out_failed_1.log").read_text()
    assert not (tmp_path / "out_failed_0.log").exists()
    assert json.loads(out.read_text()) == {"a": 1, "rows": rows}
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == rows


def test_a_setting_that_hangs_is_ended(child: str) -> None:
    begun = time.monotonic()
    row = in_child(child, ["shared", "hang"], {}, limit=1.0)
    assert row["error"].startswith("took longer than 1 s")
    assert time.monotonic() - begun < 20


def test_a_benchmark_that_is_ended_leaves_nothing_running(child: str, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = f"from benchmarks.settings import run_settings\nrun_settings({child!r}, ['shared'], [(['hang'], {{'NOTE': {str(note)!r}}})], " \
        "facts={}, limit=60, complete=lambda row, before: row, out=None)"  # fmt: skip
    paths = os.pathsep.join([str(Path(__file__).parents[2]), os.environ["PYTHONPATH"]])
    parent = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": paths})
    for _ in range(600):
        if note.exists() and note.read_text():
            break
        time.sleep(0.05)
    pid = int(note.read_text())
    parent.terminate()
    assert parent.wait(30) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_an_old_log_goes_when_its_setting_works(child: str, tmp_path: Path) -> None:
    old = tmp_path / "out_failed_0.log"
    old.write_text("of yesterday", encoding="utf-8")
    run_settings(child, ["shared"], [(["one"], {})], facts={}, limit=30, complete=lambda row, before: row, out=tmp_path / "out.json")
    assert not old.exists()


def test_gpus_are_watched_by_what_the_tool_prints() -> None:
    lines = "0, 50, 1024\n1, 100, 2048\n1, [N/A], 0\n0, 100, 512\n"
    since = time.monotonic()
    with GpuWatch((sys.executable, "-c", f"print({lines!r}, end='', flush=True); input()")) as watch:
        for _ in range(200):
            if len(watch.seen) == 3:
                break
            time.sleep(0.05)
    assert watch.shares(since, time.monotonic()) == {
        "0": {"busy_share": 0.75, "memory_gib": 1.0, "looks": 2},
        "1": {"busy_share": 1.0, "memory_gib": 2.0, "looks": 1},
    }
    assert watch.shares(since - 2, since - 1) == {}
    with GpuWatch(("no-such-tool",)) as nothing:
        pass
    assert nothing.shares(0, 1e12) == {}
