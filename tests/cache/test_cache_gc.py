"""Making room: what goes, in which order, and what stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sample_records import entry_folder, key_of, make

from cache import CacheKey, RecordCache
from cache.entry import host_name
from cache.gc import collect, parse_age, parse_size
from cache.listing import entries
from mmfa_components.errors import CacheError
from mmfa_components.records import Motion

DAY = 86400.0
NOW = 1_000_000_000.0


@pytest.fixture
def keys(tmp_path: Path) -> list[CacheKey]:
    """Four entries of equal size, last used 40, 30, 20 and 10 days before NOW (in an order that is not that of their keys)."""
    made = sorted((key_of(Motion, options={"i": i}) for i in range(4)), key=lambda k: k.digest)
    made = [made[i] for i in (2, 0, 3, 1)]
    for age, key in zip((40, 30, 20, 10), made, strict=True):
        RecordCache(tmp_path).put(key, make(Motion))
        os.utime(entry_folder(tmp_path, key) / "complete.json", (NOW - age * DAY,) * 2)
    return made


def _left(folder: Path) -> set[str]:
    return {e.digest for e in entries(folder)}


def test_least_recently_used_go_first(keys: list[CacheKey], tmp_path: Path) -> None:
    total = sum(e.size for e in entries(tmp_path))
    done = collect(tmp_path, max_size=total * 5 // 8, now=NOW)
    assert [r.path.name for r in done.removed] == [k.digest for k in keys[:2]]
    assert {r.why for r in done.removed} == {"space"}
    assert _left(tmp_path) == {k.digest for k in keys[2:]}
    assert done.kept == 2
    assert done.kept_size + done.freed == total
    assert list((tmp_path / "v1" / "tmp").iterdir()) == []


def test_use_saves_an_entry(keys: list[CacheKey], tmp_path: Path) -> None:
    assert RecordCache(tmp_path).open(keys[0]) is not None
    assert RecordCache(tmp_path, "read").open(keys[1]) is not None  # does not count as use: never writes
    collect(tmp_path, older_than=15 * DAY, now=NOW)
    assert _left(tmp_path) == {keys[0].digest, keys[3].digest}


def test_age_and_size_together(keys: list[CacheKey], tmp_path: Path) -> None:
    size = max(e.size for e in entries(tmp_path))
    done = collect(tmp_path, max_size=2 * size, older_than=35 * DAY, now=NOW)
    assert [(r.path.name, r.why) for r in done.removed] == [(keys[0].digest, "old"), (keys[1].digest, "space")]


def test_without_limits_all_entries_stay(keys: list[CacheKey], tmp_path: Path) -> None:
    assert collect(tmp_path, now=NOW).removed == ()
    assert len(_left(tmp_path)) == 4


def test_dry_run_removes_nothing(keys: list[CacheKey], tmp_path: Path) -> None:
    done = collect(tmp_path, max_size=0, dry_run=True, now=NOW)
    assert len(done.removed) == 4
    assert len(_left(tmp_path)) == 4


def test_leftovers_of_the_dead_and_damaged_entries_go(keys: list[CacheKey], tmp_path: Path) -> None:
    temporary = tmp_path / "v1" / "tmp"
    dead_pid = int(Path("/proc/sys/kernel/pid_max").read_text()) + 1 if Path("/proc").exists() else 2**22 + 1
    names = {
        "dead": f"{'a' * 64}.{host_name()}.{dead_pid}.0011",
        "mine": f"{'a' * 64}.{host_name()}.{os.getpid()}.0022",
        "elsewhere": f"{'a' * 64}.{host_name()}-other.{dead_pid}.0033",
        "forgotten": f"{'a' * 64}.{host_name()}-other.{dead_pid}.0044",
        "strange": "not-ours",
    }
    for name in names.values():
        (temporary / name).mkdir(parents=True)
        (temporary / name / "data").write_bytes(b"123")
        os.utime(temporary / name, (NOW - DAY,) * 2)
    os.utime(temporary / names["forgotten"], (NOW - 8 * DAY,) * 2)
    (entry_folder(tmp_path, keys[0]) / "zarr.json").unlink()
    assert RecordCache(tmp_path).get(keys[0]) is None
    done = collect(tmp_path, now=NOW)
    assert sorted((r.why, r.path.name.split(".")[-1]) for r in done.removed if r.why == "leftover") == [
        ("leftover", "0011"),
        ("leftover", "0044"),
    ]
    assert [r.path.name[:64] for r in done.removed if r.why == "damaged"] == [keys[0].digest]
    assert {p.name for p in temporary.iterdir()} == {names["mine"], names["elsewhere"], names["strange"]}
    assert list((tmp_path / "v1" / "damaged").iterdir()) == []
    assert done.removed[0].size == 3


def test_a_missing_folder_is_empty(tmp_path: Path) -> None:
    done = collect(tmp_path / "none", max_size=0)
    assert (done.removed, done.kept) == ((), 0)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("text", "size"), [("5GB", 5 * 10**9), ("500 mb", 5 * 10**8), ("1.5GiB", 3 * 2**29), ("1000", 1000), ("2k", 2000), ("0", 0), ("7B", 7)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(("text", "age"), [("30d", 30 * DAY), ("12h", DAY / 2), ("2w", 14 * DAY), ("1.5m", 90.0), ("45 s", 45.0)])
def test_ages(text: str, age: float) -> None:
    assert parse_age(text) == age


@pytest.mark.parametrize("text", ["", "big", "-5GB", "5 XB", "GB", "5GB5"])
def test_wrong_sizes(text: str) -> None:
    with pytest.raises(CacheError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize("text", ["", "old", "30", "-1d", "3y"])
def test_wrong_ages(text: str) -> None:
    with pytest.raises(CacheError, match="is not an age"):
        parse_age(text)
