"""Disk full, read-only and unreadable folders: clear errors, nothing half-written, reading goes on where it can."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from sample_records import entry_folder, key_of, make, same, write

from cache import RecordCache
from cache import entry as entry_module
from cache.gc import collect
from cache.listing import entries
from mmfa_components.errors import CacheError
from mmfa_components.records import Frames, Motion


def _mount(options: str, folder: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on a disk of 1 MB; where mounting is not allowed, one whose flushes to the disk fail as on a full one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if _mount("size=1m", folder):
        yield folder
        subprocess.run(["umount", str(folder)], check=True)
        return

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(entry_module.os, "fsync", full)
        yield folder


def test_disk_full_is_a_clear_error_and_leaves_nothing(small_disk: Path) -> None:
    cache, key = RecordCache(small_disk / "cache"), key_of(Frames)
    with pytest.raises(CacheError) as caught:
        write(cache, key, [Frames(torch.rand(8, 3, 128, 128)) for _ in range(30)])
    assert "No space left on device" in caught.value.what
    assert str(small_disk / "cache") in caught.value.where
    assert "cache.folder" in caught.value.fix
    assert [p for p in (small_disk / "cache").rglob("*") if p.is_file()] == []
    assert cache.get(key) is None


def test_disk_full_at_any_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, left = os.fsync, 0

    def sometimes(handle: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    cache, key = RecordCache(tmp_path), key_of(Motion)
    monkeypatch.setattr(entry_module.os, "fsync", sometimes)
    for flushes in range(8):
        left = flushes
        with pytest.raises(CacheError, match="No space left"):
            cache.put(key, make(Motion))
        assert cache.get(key) is None
        assert list((tmp_path / "v1" / "tmp").iterdir()) == []
    left = 1000
    cache.put(key, make(Motion))
    assert cache.get(key) is not None


@pytest.fixture
def read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A read-only cache folder with one Motion; where mounting is not allowed, os calls that write fail as there."""
    folder = tmp_path / "cache"
    folder.mkdir()
    if _mount("size=4m", folder):
        RecordCache(folder).put(key_of(Motion), make(Motion))
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        yield folder
        subprocess.run(["umount", str(folder)], check=True)
        return
    RecordCache(folder).put(key_of(Motion), make(Motion))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patched:
        for owner, name in ((Path, "mkdir"), (Path, "rename"), (os, "utime")):
            patched.setattr(owner, name, refuse)
        yield folder


def test_read_only_folder_is_read_and_refuses_writes(read_only: Path) -> None:
    events: list[str] = []
    cache = RecordCache(read_only, on_event=events.append)
    got = cache.get(key_of(Motion))
    assert got is not None
    assert same(got, make(Motion))
    with pytest.raises(CacheError, match="Read-only file system") as caught:
        cache.put(key_of(Frames), make(Frames))
    assert caught.value.where == str(read_only)
    with pytest.raises(CacheError, match="Read-only file system"):
        collect(read_only, max_size=0)
    assert cache.get(key_of(Motion)) is not None
    assert events == []


def test_a_file_in_the_way_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    for folder in (tmp_path / "file", tmp_path / "file" / "cache"):
        cache = RecordCache(folder)
        assert cache.get(key_of(Motion)) is None
        with pytest.raises(CacheError) as caught:
            cache.put(key_of(Motion), make(Motion))
        assert caught.value.where == str(folder)
        assert "cannot be written" in caught.value.what
        assert caught.value.fix
    assert (tmp_path / "file").read_text() == "not a folder"
    with pytest.raises(CacheError, match="cannot be read"):
        list(entries(tmp_path / "file"))


def test_no_permission_to_read_is_reported_and_counts_as_a_miss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    cache, key = RecordCache(tmp_path, on_event=events.append), key_of(Motion)
    cache.put(key, make(Motion))

    def refuse(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", refuse)
        assert cache.get(key) is None
    assert "Permission denied" in events[0]
    assert entry_folder(tmp_path, key).exists(), "what cannot be read is not taken for damaged"
    assert cache.get(key) is not None
