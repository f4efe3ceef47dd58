"""``mmfa run``: exit codes, lists, plans, errors without tracebacks; in this process except where a real one matters."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from disc_face import Disc, disc_registry
from disc_media import swinging, write_clip, write_portrait

import mmfa_components.registry
import pipelines.runs.run
from pipelines import run
from pipelines.catalogue import find_pipeline, list_pipelines

ROOT = Path(__file__).parents[2]
DISC = """
description = "discs"
inputs.sources = ["{here}/*.png"]
inputs.driving = ["{here}/*.mp4"]
face.detector.name = "disc"
face.landmarks.name = "disc"
animator.name = "disc"
output.folder = "{here}/out"
cache.folder = "{here}/cache"
"""


@pytest.fixture
def disc_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline of the disc system with one portrait and one clip."""
    write_portrait(tmp_path / "red.png", Disc(60, 50, 20, yaw=0.1, tint=0.1))
    write_clip(tmp_path / "swing.mp4", swinging(5))
    (tmp_path / "discs.toml").write_text(DISC, encoding="utf-8")
    monkeypatch.setattr(mmfa_components.registry, "load_registry", disc_registry)
    return tmp_path / "discs.toml"


def test_a_run_then_a_second_one_that_has_nothing_to_do(disc_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main([str(disc_file)]) == 0
    out = capsys.readouterr().out
    assert "1 done, 0 up to date, 0 failed" in out
    assert "\x1b[" not in out  # plain lines where there is no terminal
    assert (disc_file.parent / "out/red__swing.mp4").is_file()
    assert run.main([str(disc_file), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["totals"]["skipped"] == 1
    assert "1 up to date" in captured.err


def test_a_failed_job_gives_1_and_the_others_are_done(disc_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (disc_file.parent / "zero.mp4").write_bytes(b"")
    assert run.main([str(disc_file)]) == 1
    out = capsys.readouterr().out
    assert "1 done, 0 up to date, 1 failed" in out
    assert "zero.mp4" in out
    assert "Traceback" not in out


def test_a_dry_run_writes_nothing(disc_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main([str(disc_file), "--dry-run", "--set", "output.quality=30"]) == 0
    assert "animator/disc" in capsys.readouterr().out
    assert run.main([str(disc_file), "--dry-run", "--json", "--set", "output.quality=30"]) == 0
    assert json.loads(capsys.readouterr().out)["output"]["quality"] == 30
    assert not (disc_file.parent / "out").exists()


def test_bad_configuration_gives_2_and_lists_the_faults(disc_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main([str(disc_file), "--set", "output.qualty=1", "--set", "engine.name=rya"]) == 2
    captured = capsys.readouterr()
    assert "2 faults" in captured.err
    assert "did you mean 'quality'?" in captured.err
    assert "Traceback" not in captured.err + captured.out
    assert run.main([]) == 2
    assert "--list" in capsys.readouterr().err


def test_an_output_folder_that_is_a_file_gives_2(disc_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (disc_file.parent / "out").write_bytes(b"x")
    assert run.main([str(disc_file)]) == 2
    assert "choose another output.folder" in capsys.readouterr().err


def test_ctrl_c_outside_of_a_job_gives_130_and_says_how_to_go_on(
    disc_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipelines.runs.run, "run_plan", interrupted)
    assert run.main([str(disc_file)]) == 130
    assert "finished results are kept; run the same command again" in capsys.readouterr().err


def test_a_fault_of_the_program_is_short_and_keeps_its_traceback(
    disc_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("by [zero]")

    monkeypatch.setattr(pipelines.runs.run, "run_plan", broken)
    assert run.main([str(disc_file)]) == 70
    message = capsys.readouterr().err
    assert "unexpected ZeroDivisionError: by [zero]" in message
    assert "Traceback" not in message
    kept = Path(message.split("The full traceback is in ")[1].strip())
    try:
        assert "in broken" in kept.read_text(encoding="utf-8")
    finally:
        kept.unlink()


def test_pipelines_are_found_by_name_own_ones_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_pipeline("batch_reenact") == ROOT / "pipelines" / "batch_reenact.toml"
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines/batch_reenact.toml").write_text('description = "mine"', encoding="utf-8")
    (tmp_path / "pipelines/torn.toml").write_text("a =", encoding="utf-8")
    assert find_pipeline("batch_reenact.toml") == Path("pipelines/batch_reenact.toml")
    listed = {p.name: p for p in list_pipelines()}
    assert listed["batch_reenact"].description == "mine"
    assert "cannot be read" in listed["torn"].problem
    assert "paste_back" in listed
    assert run.main(["--list", "pipelines", "--json"]) == 0
    assert [p["name"] for p in json.loads(capsys.readouterr().out)] == ["batch_reenact", "torn"]
    assert run.main(["--list", "nowhere"]) == 2
    assert "is not a folder" in capsys.readouterr().err
    for wrong, words in (("batch_renact", "did you mean 'batch_reenact'?"), ("pipelines", "is a folder")):
        assert run.main([wrong]) == 2
        assert words in capsys.readouterr().err


def test_the_list_is_quick_and_the_real_command_works() -> None:
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-X", "importtime", "-m", "pipelines.run", "--list"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert time.monotonic() - start < 20
    assert "batch_reenact" in done.stdout
    assert "portraits moved by clips" in done.stdout
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "tomllib" in imported
    assert "torch" not in imported


def test_folders_of_the_user_do_not_stand_before_our_packages(tmp_path: Path) -> None:
    for name in ("cache", "pipelines", "plugins"):
        (tmp_path / name).mkdir()
    for module in ("pipelines.run", "plugins", "cache"):
        done = subprocess.run([sys.executable, "-m", module, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_a_dry_run_of_the_main_pipeline_builds_no_networks(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pipelines import run\nimport mmfa_components.registry as m\n"
        "def no(*a, **k): raise AssertionError('built')\nm.Registry.build = no\n"
        "sys.exit(run.main(['batch_reenact', '--dry-run']))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "4 jobs" in done.stdout
    assert "rotation_estimator/facemesh" in done.stdout
