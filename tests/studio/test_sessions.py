"""Sessions keep their files to themselves and take them along when they end."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mmfa_components.processes import process_place
from pipelines.studio import sessions
from pipelines.studio.sessions import CrowdedError, Sessions, remove_leftovers


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_folders_are_private_and_go_with_their_session(here: Path) -> None:
    all_ = Sessions()
    first, second = all_.create(), all_.create()
    for folder in (all_.root, first.folder, second.folder, first.new_folder("run")):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (first.folder / "a.png").write_bytes(b"x")
    all_.close(first)
    assert not first.folder.exists()
    assert second.folder.exists()
    assert all_.find(first.token) is None
    all_.close_all()
    assert list(here.iterdir()) == []


def test_a_session_finds_only_what_it_offered(here: Path) -> None:
    all_ = Sessions()
    first, second = all_.create(), all_.create()
    path = first.folder / "a.png"
    path.write_bytes(b"x")
    key = first.offer(path, "me.png").rpartition("/")[2]
    assert first.files[key].path == path
    assert key not in second.files
    assert len(key) > 20
    assert first.token != second.token
    first.forget(path)
    assert not path.exists()
    assert first.files == {}
    all_.close_all()


def test_only_so_many_pages(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MOST_SESSIONS", 2)
    all_ = Sessions()
    first = all_.create()
    all_.create()
    with pytest.raises(CrowdedError, match="2 pages"):
        all_.create()
    all_.close(first)
    all_.create()
    all_.close_all()


def test_leftovers_of_the_dead_are_removed_those_of_the_living_not(here: Path) -> None:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True).stdout.strip()
    place = process_place()
    for name in (f"mmfa-studio-{place}-{dead}-x", f"mmfa-studio-{place}-{os.getpid()}-y", "mmfa-studio-notes"):
        (here / name / "inside").mkdir(parents=True)
    (here / f"mmfa-studio-{place}-{dead}-link").symlink_to(here / "mmfa-studio-notes")
    remove_leftovers(here)
    left = sorted(p.name for p in here.iterdir())
    assert left == sorted([f"mmfa-studio-{place}-{os.getpid()}-y", f"mmfa-studio-{place}-{dead}-link", "mmfa-studio-notes"])
    assert (here / "mmfa-studio-notes" / "inside").is_dir()
