"""What happens to an entry after it was opened: changed, removed; and the cost of many small spans."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from cache import CacheKey, RecordCache, StoredRecord
from cache.listing import entries
from mmfa_components.errors import CacheError
from mmfa_components.records import Motion, Record


def motion(frames: int) -> Motion:
    draw = torch.Generator().manual_seed(3)
    return Motion(*(torch.randn(frames, *shape, generator=draw) for shape in ((3, 3), (), (3,), (16,))))


KEY = CacheKey.of(Motion, [], {}, "a" * 64, "clip.mp4")


@pytest.fixture
def stored(tmp_path: Path) -> StoredRecord:
    """100 frames in a cache, opened."""
    cache = RecordCache(tmp_path)
    cache.put(KEY, motion(100))
    opened = cache.open(KEY)
    assert opened is not None
    return opened


def test_no_byte_changed_after_opening_is_read_as_data(stored: StoredRecord) -> None:
    file = stored.path / "expression" / "c" / "0" / "0"
    content = file.read_bytes()
    for place in range(0, len(content), len(content) // 40):
        flipped = bytearray(content)
        flipped[place] ^= 8
        file.write_bytes(bytes(flipped))
        with pytest.raises(CacheError, match="can no longer be read"):
            stored.read()
    file.write_bytes(content)
    assert torch.equal(stored.read().expression, motion(100).expression)


def test_entry_removed_after_opening(stored: StoredRecord) -> None:
    shutil.rmtree(stored.path)
    with pytest.raises(CacheError, match="can no longer be read"):
        stored.read(0, 5)


def test_get_returns_none_when_the_entry_vanishes_between_opening_and_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    cache = RecordCache(tmp_path, on_event=events.append)
    cache.put(KEY, motion(10))
    read = StoredRecord.read

    def late(self: StoredRecord, start: int = 0, stop: int | None = None) -> Record:
        shutil.rmtree(self.path)
        return read(self, start, stop)

    monkeypatch.setattr(StoredRecord, "read", late)
    assert cache.get(KEY) is None
    assert len(events) == 1
    assert "computed again" in events[0]


def test_single_frames_cost_the_same_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = motion(400)
    rows = list(whole.spans(1))
    calls = 0
    length = Record.__len__

    def counted(self: Record) -> int:
        nonlocal calls
        calls += 1
        return length(self)

    cache = RecordCache(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Record, "__len__", counted)
        with cache.writer(KEY, Motion) as writer:
            for row in rows:
                writer.append(row)
    assert 400 <= calls <= 400 * 10
    stored = cache.get(KEY)
    assert all(torch.equal(values, stored.tensors()[name]) for name, values in whole.tensors().items())


def test_a_stray_file_among_the_entries_does_not_hide_them(tmp_path: Path) -> None:
    RecordCache(tmp_path).put(KEY, motion(3))
    (tmp_path / "v1" / "xx").write_text("stray")
    assert [e.digest for e in entries(tmp_path)] == [KEY.digest]
