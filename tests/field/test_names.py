"""Kind 13: file names are bytes of the file system, neither text nor URLs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from disc_media import disc_plan, swinging, write_clip, write_portrait

from mmfa_components.registry import Registry
from pipelines.config.faults import Faults
from pipelines.config.inputs import make_jobs
from pipelines.config.schema import Inputs, Output
from pipelines.media import VideoWriter, open_video, probe, read_image, read_metadata
from pipelines.runs.run import run_plan

NAMES = [b"caf\xe9", b"a:b", b"http:--x", b"file:x", b"pipe:1", b"subfile,,start,0,end,9,,:x", b"100%d", b"new\nline", b"\xff\xfe"]


def named(folder: Path, name: bytes, suffix: bytes) -> Path:
    return Path(os.fsdecode(os.fsencode(folder) + b"/" + name + suffix))


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_read_and_animated(tmp_path: Path, registry: Registry, screen: Any, name: bytes) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    clip = write_clip(tmp_path / "plain.mp4", swinging(4)).rename(named(folder, name, b".mp4"))
    portrait = write_portrait(tmp_path / "plain.png").rename(named(folder, name, b".png"))
    assert probe(clip).frames == 4
    assert probe(portrait).kind == "image"
    assert read_image(portrait).rgb.shape[-1] == 3
    with open_video(clip) as reader:
        assert len(list(reader.frames())) == 4
    output = Output(folder=str(tmp_path / "out"))
    faults = Faults()
    inputs = Inputs((f"{folder}/*.png",), (f"{folder}/*.mp4",))
    (job,) = make_jobs(inputs, output, tmp_path, faults)
    assert faults.items == []
    job.output.name.encode("utf-8")  # results have names that are text
    plan = disc_plan(tmp_path, [portrait], [clip])
    plan = type(plan)(plan.pipeline, (job,), plan.origin)
    report = run_plan(plan, registry, screen.console)
    assert report.jobs[0].status == "done", screen.text
    told = json.loads((tmp_path / "out" / "report.json").read_bytes())
    assert told["jobs"][0]["status"] == "done"
    assert read_metadata(job.output)["motion"]
    again = run_plan(plan, registry, screen.console)
    assert again.jobs[0].status == "skipped"


def test_a_result_may_have_a_colon_in_its_name(tmp_path: Path) -> None:
    from fractions import Fraction

    import torch

    with VideoWriter(tmp_path / "a:b.mp4", 16, 16, Fraction(1, 25), Fraction(25)) as writer:
        writer.write(torch.zeros(2, 16, 16, 3, dtype=torch.uint8), [0, 1])
    assert probe(tmp_path / "a:b.mp4").frames == 2


def test_the_program_tells_of_such_files_on_any_terminal(tmp_path: Path) -> None:
    """A name that is no text, of a file that is no video, on a terminal that knows ASCII only: it fails alone, with its name escaped."""
    named(tmp_path, b"caf\xe9", b".mp4").write_bytes(b"no video")
    write_portrait(tmp_path / "p.png")
    (tmp_path / "a.toml").write_text(
        '[inputs]\nsources = ["{here}/p.png"]\ndriving = ["{here}/*.mp4"]\n[output]\nfolder = "' + str(tmp_path / "out") + '"\n'
    )
    command = [sys.executable, "-m", "pipelines.run", str(tmp_path / "a.toml")]
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, cwd=Path(__file__).parents[2], env=env, timeout=120, check=False)
    text = done.stdout.decode("ascii") + done.stderr.decode("ascii")
    assert done.returncode == 1, text
    assert "caf\\udce9.mp4" in text
    assert "Traceback" not in text
    assert json.loads((tmp_path / "out" / "report.json").read_bytes())["totals"]["failed"] == 1
