"""Motion out of the cache into a portable file, and back into the cache of somebody else."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs

from cache.keys import CacheKey, digest_of
from cache.listing import Entry, entries
from cache.motion_file import SUFFIX, MotionFile, MotionHeader, write_motion
from cache.store import RecordCache, StoredRecord
from cache.zip_arrays import ROWS
from mmfa_components.errors import CacheError
from mmfa_components.records import MotionKind, Record, Timestamps, motion_kind_of


@attrs.frozen
class Known:
    """What can be read: record classes by name, and which of them are motions."""

    records: Mapping[str, type[Record]]
    motions: Mapping[str, MotionKind]

    def motion_of(self, record: type[Record]) -> MotionKind | None:
        """The kind of motion that a record class is; None for other records."""
        return motion_kind_of(record, self.motions)


def export_entry(folder: Path, entry: Entry, output: Path, rate: Fraction | None, known: Known) -> MotionHeader:
    """Write the motion of an entry to ``output``. Raises CacheError.

    rate: frames a second of its clip; None: as the cache holds it with the clip's timestamps. Without stored timestamps they are even.
    """
    record = known.records.get(entry.record_name)
    if record is None or known.motion_of(record) is None:
        fix = "choose the motion of a clip: mmfa cache ls"
        raise CacheError(f"is a {entry.record_name}, not the motion of a clip", where=entry.digest[:12], fix=fix)
    stored = _open(folder, entry, record)
    times, clock = _times(folder, entry, len(stored))
    unit = Fraction(clock["time_base"]) if "time_base" in clock else None
    rate = rate or (Fraction(clock["rate"]) if "rate" in clock else None)
    if rate is None:
        fix = "give it: --rate 25; entries made from now on know it"
        raise CacheError("the cache does not know the clip's frame rate", where=entry.digest[:12], fix=fix)
    return write_motion(
        output, stored, times, rate=rate, time_base=unit or _unit(times, rate), source=entry.input_name,
        source_digest=str(entry.hashed.get("input", "")), key=entry.hashed, animator=_animator(entry),
    )  # fmt: skip


def import_motion(folder: Path, path: Path, known: Known) -> CacheKey:
    """Put the motion of a file under the key it was exported from, so that pipelines use it as if they had measured it. Raises CacheError."""
    file = MotionFile(path, known.records, known.motions)
    try:
        if not file.header.key:
            fix = "name it as inputs.driving instead; only files of mmfa cache export can go into a cache"
            raise CacheError("was not exported from a cache", where=str(path), fix=fix)
        if file.header.key.get("record") != file.record.fingerprint():
            raise CacheError("its key and its record do not fit", where=str(path), fix="export it again")
        key = CacheKey(digest_of(file.header.key), dict(file.header.key), file.record, file.header.source)
        with RecordCache(folder, "use", known.records).writer(key) as writer:
            for start in range(0, len(file), ROWS):
                writer.append(file.read(start, min(start + ROWS, len(file))))
        return key
    finally:
        file.close()


def motion_name(name: str) -> str:
    """``name`` with the suffix of motion files."""
    return name if name.endswith(SUFFIX) else f"{Path(name).stem}{SUFFIX}"


def _open(folder: Path, entry: Entry, record: type[Record]) -> StoredRecord:
    stored = RecordCache(folder, "read").open_digest(entry.digest, record)
    if stored is None:
        raise CacheError("the entry is damaged", where=entry.digest[:12], fix="mmfa cache verify says what is wrong")
    return stored


def _times(folder: Path, entry: Entry, frames: int) -> tuple[StoredRecord | None, dict[str, str]]:
    """Timestamps of the same clip, and their clock (rate, time_base) as far as it is known."""
    for other in entries(folder):
        if other.record_name == Timestamps.__name__ and not other.fault and other.hashed.get("input") == entry.hashed.get("input"):
            stored = RecordCache(folder, "read").open_digest(other.digest, Timestamps)
            if stored is not None and len(stored) == frames:
                return stored, other.notes
    return None, {}


def _unit(times: StoredRecord | None, rate: Fraction) -> Fraction:
    """The unit of stored timestamps, whose average step is one frame at ``rate``."""
    if times is None or len(times) < 2:
        return 1 / rate
    first, last = (int(times.read(i, i + 1).pts[0]) for i in (0, len(times) - 1))
    return Fraction(len(times) - 1, max(1, last - first)) / rate


def _animator(entry: Entry) -> dict[str, Any]:
    return next((dict(c) for c in entry.hashed.get("components", []) if c.get("kind") == "animator"), {})
