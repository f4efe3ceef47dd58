"""Kind 19: what a run elsewhere has in the making is no leftover of this one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmfa_components import processes
from pipelines.media.partial import FOREIGN_AGE, partial_name, remove_leftovers

DEAD = 4_194_305  # above the largest number a process can have


def elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that a process of another place, whose number means nothing here, is writing."""
    with monkeypatch.context() as there:
        there.setattr(processes, "process_place", lambda: "0123abcd")
        there.setattr(os, "getpid", lambda: DEAD)
        path = partial_name(folder / "result.mp4")
    path.write_bytes(b"half")
    return path


def test_the_files_of_a_run_elsewhere_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = elsewhere(tmp_path, monkeypatch)
    old_style = tmp_path / f".b.part-{DEAD}-abcd1234.mp4"
    old_style.touch()
    ours = tmp_path / partial_name(tmp_path / "a.mp4").name.replace(str(os.getpid()), str(DEAD))
    ours.touch()
    assert remove_leftovers(tmp_path) == [ours]
    assert theirs.exists()
    assert old_style.exists(), "earlier versions did not say where"


def test_what_was_left_behind_elsewhere_goes_after_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = elsewhere(tmp_path, monkeypatch)
    os.utime(theirs, (time.time() - FOREIGN_AGE - 60,) * 2)
    assert remove_leftovers(tmp_path) == [theirs]


def test_two_namespaces_of_one_host_are_two_places() -> None:
    code = "from mmfa_components.processes import process_place; print(process_place())"
    command = [sys.executable, "-c", code]
    root = Path(__file__).parents[2]
    here = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root).stdout
    assert here.strip() == processes.process_place()
    isolated = subprocess.run(["unshare", "-rpf", *command], capture_output=True, text=True, check=False, cwd=root)
    if isolated.returncode == 0:  # where this user may make namespaces
        assert isolated.stdout != here
    processes.process_place.cache_clear()
    assert len(processes.process_place()) == 8
