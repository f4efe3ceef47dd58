"""Small records are read once and kept for a while; what is kept is bounded, cannot be changed by a reader, and never outlives its entry."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch
from sample_records import entry_folder, key_of, make, same

from cache import RecordCache
from cache import arrays as array_settings
from cache.arrays import ArrayGroup
from cache.recent import RecentReads
from mmfa_components.errors import CacheError
from mmfa_components.records import Motion


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each field was read from Zarr."""
    counted: Counter[str] = Counter()
    real = ArrayGroup.read

    def read(self: ArrayGroup, name: str, start: int | None = None, stop: int | None = None) -> torch.Tensor:
        counted[name] += 1
        return real(self, name, start, stop)

    monkeypatch.setattr(ArrayGroup, "read", read)
    return counted


def test_a_small_record_is_read_once_however_often_it_is_asked_for(tmp_path: Path, reads: Counter[str]) -> None:
    cache, key, whole = RecordCache(tmp_path), key_of(Motion), make(Motion, 20)
    cache.put(key, whole)
    for start, stop in ((0, 20), (3, 7), (19, 20), (5, 5)):
        stored = cache.open(key)  # as each job does
        assert stored is not None
        assert same(stored.read(start, stop), whole[start:stop])
    assert same(cache.get(key), whole)
    assert set(reads.values()) == {1}
    assert set(reads) == set(Motion.tensor_fields())


def test_a_reader_that_changes_its_rows_changes_nobody_elses(tmp_path: Path) -> None:
    cache, key, whole = RecordCache(tmp_path), key_of(Motion), make(Motion, 20)
    cache.put(key, whole)
    cache.get(key).expression.zero_()
    assert same(cache.get(key), whole)


def test_an_entry_that_is_gone_is_missed_though_its_rows_are_known(tmp_path: Path) -> None:
    cache, key = RecordCache(tmp_path), key_of(Motion)
    cache.put(key, make(Motion, 20))
    stored = cache.open(key)
    assert stored is not None
    stored.read()
    shutil.rmtree(entry_folder(tmp_path, key))
    with pytest.raises(CacheError, match="can no longer be read"):
        stored.read()
    other = make(Motion, 20, seed=1)
    cache.put(key, other)
    assert same(cache.get(key), other)  # not the rows of the entry before


def test_longer_records_are_read_span_by_span(tmp_path: Path, reads: Counter[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_settings, "SHARD_FRAMES", 16)
    cache, key, whole = RecordCache(tmp_path), key_of(Motion), make(Motion, 20)
    cache.put(key, whole)
    stored = cache.open(key)
    assert stored is not None
    for _ in range(3):
        assert same(stored.read(2, 9), whole[2:9])
    assert set(reads.values()) == {3}
    assert cache._recent.size == 0


def test_what_was_used_longest_ago_goes_first() -> None:
    recent, made = RecentReads(limit=100), []

    def get(name: str, numbers: int) -> torch.Tensor:
        def read() -> torch.Tensor:
            made.append(name)
            return torch.zeros(numbers, dtype=torch.uint8)

        return recent.get((name,), read)

    for name in ("a", "b", "a", "c"):  # b is the one used longest ago
        get(name, 40)
    assert recent.size == 80
    get("a", 40)
    get("b", 40)
    assert made == ["a", "b", "c", "b"]
    get("more than all", 101)
    assert recent.size == 80
