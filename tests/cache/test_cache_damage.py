"""Damaged entries are found, reported, set aside and made anew; none of their data is handed out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sample_records import entry_folder, key_of, make, same

from cache import RecordCache
from cache import arrays as array_settings
from cache.listing import entries, verify
from mmfa_components.errors import CacheError
from mmfa_components.records import Motion


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def _lie(path: Path) -> None:
    """Frames in the marker changed, still valid JSON."""
    body = json.loads(path.read_text())
    path.write_text(json.dumps({**body, "frames": 4}))


DATA = "expression/c/0/0"
DAMAGE: list[tuple[str, Callable[[Path], None], str]] = [
    (DATA, _truncate, "bytes instead of"),
    (DATA, _flip, "content of expression/c/0/0 was changed"),
    (DATA, Path.unlink, "expression/c/0/0 is missing"),
    ("expression", shutil.rmtree, "is missing"),
    ("expression/zarr.json", _flip, "was changed"),
    ("zarr.json", Path.unlink, "zarr.json is missing"),
    ("preimage.json", _flip, "preimage.json was changed"),
    ("complete.json", Path.unlink, "complete.json is missing"),
    ("complete.json", _truncate, "complete.json"),
    ("complete.json", _flip, "complete.json"),
    ("complete.json", _lie, "complete.json was changed"),
    ("complete.json", lambda p: p.write_bytes(b""), "complete.json cannot be read"),
    ("complete.json", lambda p: p.write_bytes(b"[]"), "complete.json was changed"),
]


@pytest.mark.parametrize(("file", "harm", "message"), DAMAGE, ids=[f"{h.__name__}-{f}" for f, h, _ in DAMAGE])
def test_damage_is_found_reported_and_rebuilt(file: str, harm: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    events: list[str] = []
    cache, key, wanted = RecordCache(tmp_path, on_event=events.append), key_of(Motion), make(Motion)
    cache.put(key, wanted)
    folder = entry_folder(tmp_path, key)
    harm(folder / file)
    assert verify(tmp_path)[1][0].entry.path == folder
    assert cache.open(key) is None
    assert len(events) == 1
    assert message in events[0]
    assert str(folder) in events[0]
    assert not folder.exists()
    assert len(list((tmp_path / "v1" / "damaged").iterdir())) == 1
    assert cache.get(key) is None
    assert len(events) == 1
    cache.put(key, wanted)
    got = cache.get(key)
    assert got is not None
    assert same(got, wanted)
    assert verify(tmp_path) == (1, [])


def test_an_entry_under_the_name_of_another_key_is_damage(tmp_path: Path) -> None:
    events: list[str] = []
    cache, key, other = RecordCache(tmp_path, on_event=events.append), key_of(Motion), key_of(Motion, precision="float16")
    cache.put(key, make(Motion))
    entry_folder(tmp_path, other).parent.mkdir(exist_ok=True)
    shutil.copytree(entry_folder(tmp_path, key), entry_folder(tmp_path, other))
    assert cache.get(other) is None
    assert "belongs to another key" in events[0]


def test_a_writer_replaces_a_damaged_entry_nobody_has_opened(tmp_path: Path) -> None:
    cache, key = RecordCache(tmp_path), key_of(Motion)
    cache.put(key, make(Motion, seed=1))
    (entry_folder(tmp_path, key) / "complete.json").unlink()
    cache.put(key, make(Motion, seed=2))
    got = cache.get(key)
    assert got is not None
    assert same(got, make(Motion, seed=2))


def test_mode_read_reports_damage_and_leaves_it(tmp_path: Path) -> None:
    key = key_of(Motion)
    RecordCache(tmp_path).put(key, make(Motion))
    (entry_folder(tmp_path, key) / DATA).unlink()
    events: list[str] = []
    assert RecordCache(tmp_path, "read", on_event=events.append).get(key) is None
    assert "left where it is" in events[0]
    assert entry_folder(tmp_path, key).exists()


def test_an_entry_lost_while_open_is_an_error_not_zeros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_settings, "SHARD_FRAMES", 64)
    cache, key = RecordCache(tmp_path), key_of(Motion)
    cache.put(key, make(Motion, 200))
    stored = cache.open(key)
    assert stored is not None
    (entry_folder(tmp_path, key) / "rotation/c/1/0/0").unlink()
    assert same(stored.read(0, 64), make(Motion, 200)[:64])
    assert same(stored.read(128, 200), make(Motion, 200)[128:])
    with pytest.raises(CacheError, match="rotation/c/1/0/0 is missing"):
        stored.read(60, 70)
    shutil.rmtree(entry_folder(tmp_path, key))
    with pytest.raises(CacheError, match="can no longer be read"):
        stored.read(0, 10)


def test_strangers_in_the_folder_are_ignored(tmp_path: Path) -> None:
    cache, key = RecordCache(tmp_path), key_of(Motion)
    cache.put(key, make(Motion))
    (tmp_path / "v1" / "readme.txt").write_text("hello")
    (entry_folder(tmp_path, key).parent / "notes").mkdir()
    assert [e.digest for e in entries(tmp_path)] == [key.digest]
