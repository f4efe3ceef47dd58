"""The record cache: get, open, write by key."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol

from torch import Tensor

import cache.entry as layout
from cache.arrays import ArrayGroup
from cache.keys import CacheKey
from cache.recent import RecentReads
from cache.writer import RecordWriter
from mmfa_components import records as own_records
from mmfa_components.errors import CacheError, reason_of
from mmfa_components.records import Record

Mode = Literal["use", "read", "off"]


class Writer(Protocol):
    """What ``RecordCache.writer`` returns."""

    def __enter__(self) -> Writer: ...
    def append(self, span: Record) -> None: ...
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class NullWriter:
    """Takes a record and keeps nothing: the writer of modes "read" and "off"."""

    def __enter__(self) -> NullWriter:
        return self

    def append(self, span: Record) -> None:
        """Drop the span."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None


class StoredRecord:
    """A checked entry, read span by span."""

    def __init__(self, path: Path, record: type[Record], marker: layout.Marker, recent: RecentReads) -> None:
        self.path, self.record, self.marker, self.recent = path, record, marker, recent
        self._content = (str(path), *sorted(digest for _, digest in marker.files.values()))  # an entry may be made anew while we run
        self._group = ArrayGroup(path, create=False)

    def __len__(self) -> int:
        return self.marker.frames

    def read(self, start: int = 0, stop: int | None = None) -> Any:
        """Frames ``start:stop`` (clipped to the record) on the CPU; records that are not framewise are only read whole.

        Raises:
            CacheError: the entry was removed or damaged since it was opened, or a part of a whole record was asked for.
        """
        return self.record.from_tensors(self._read(list(self.record.tensor_fields()), start, stop))

    def read_field(self, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        """One field alone, as ``read``. Raises CacheError as ``read`` does; KeyError for a field the record does not have."""
        if name not in self.record.tensor_fields():
            raise KeyError(name)
        return self._read([name], start, stop)[name]

    def _read(self, names: list[str], start: int, stop: int | None) -> dict[str, Tensor]:
        begin, end, _ = slice(start, stop).indices(len(self))
        if not self.record.framewise() and (begin, end) != (0, len(self)):
            raise CacheError("is stored whole", where=self.record.__name__, fix="read it without start and stop")
        try:
            tensors = {name: self._field(name, begin, max(begin, end)) for name in names}
            self._still_there(begin, end)
        except (OSError, RuntimeError, ValueError, KeyError, layout.DamageError) as error:
            fix = "run again: it is made anew (mmfa cache verify --repair looks at all entries)"
            raise CacheError(f"the cache entry can no longer be read ({error})", where=str(self.path), fix=fix) from error
        return tensors

    def _field(self, name: str, begin: int, end: int) -> Tensor:
        """A whole field, or rows of a framewise one; of a record that is one file (a shard, see cache.arrays) all are read at once and kept."""
        if not self.record.framewise():
            return self._group.read(name)
        if len(self) > self.marker.shard:
            return self._group.read(name, begin, end)
        return self.recent.get((*self._content, name), lambda: self._group.read(name, 0, len(self)))[begin:end].clone()

    def _still_there(self, begin: int, end: int) -> None:
        """Zarr reads a file that is not there as zeros; so look that the files read from are still there. Raises DamageError."""
        shard = self.marker.shard
        wanted = range(begin // shard, -(-end // shard)) if shard else None
        for name, (size, _) in self.marker.files.items():
            parts = name.split("/")
            if wanted is None or len(parts) < 3 or int(parts[2]) in wanted:
                file = self.path / name
                if not file.exists() or file.stat().st_size != size:
                    raise layout.DamageError(f"{name} is missing or was changed")


class RecordCache:
    """Records by content-addressed key in a folder that many processes may share.

    Args:
        folder: made when first written.
        mode: "use" reads and writes, "read" never writes, "off" does nothing.
        records: classes besides those of ``mmfa_components.records``, by name, for keys that were read from disk.
        on_event: is told, in one sentence, about damaged or unreadable entries.
    """

    def __init__(
        self,
        folder: Path,
        mode: Mode = "use",
        records: Mapping[str, type[Record]] | None = None,
        on_event: Callable[[str], None] | None = None,
    ) -> None:
        if mode not in ("use", "read", "off"):
            raise CacheError(f"unknown mode {mode!r}", where="cache.mode", fix='use "use", "read" or "off"')
        self.folder, self.mode = Path(folder), mode
        self.records = {**known_records(), **(records or {})}
        self.on_event = on_event or (lambda text: None)
        self._recent = RecentReads()

    def get(self, key: CacheKey) -> Any:
        """The whole record behind ``key``, or None when it is not there or damaged (then it is set aside)."""
        stored = self.open(key)
        try:
            return None if stored is None else stored.read()
        except CacheError as error:  # removed or damaged by another process since it was opened
            self.on_event(f"{error.where}: {error.what}; its content is computed again")
            return None

    def open(self, key: CacheKey) -> StoredRecord | None:
        """The stored record behind ``key``, every file checked against its digest, or None (see ``get``)."""
        return self.open_digest(key.digest, key.record)

    def open_digest(self, digest: str, record: type[Record]) -> StoredRecord | None:
        """As ``open``, by the key's digest alone: for those who keep a list of digests, such as the index of a data set."""
        if self.mode == "off":
            return None
        path = layout.entry_path(self.folder, digest)
        try:
            marker = layout.read_marker(path)
            layout.check_sizes(path, marker)
            layout.check_digests(path, marker)
            if marker.record != record.fingerprint():
                raise layout.DamageError(f"holds {marker.record} instead of {record.fingerprint()}")
            stored = StoredRecord(path, record, marker, self._recent)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self.on_event(f"{path}: the cache entry cannot be read ({reason_of(error)}); its content is computed again")
            return None
        except layout.DamageError as damage:
            self._damaged(path, damage)
            return None
        self._touch(path)
        return stored

    def writer(self, key: CacheKey, record_type: type[Record] | None = None) -> Writer:
        """A context manager with ``append(span)`` that publishes the record on a clean exit. Raises CacheError (see RecordWriter)."""
        if self.mode != "use":
            return NullWriter()
        return RecordWriter(self.folder, key, record_type or key.record)

    def put(self, key: CacheKey, record: Record) -> None:
        """Store a whole record. Raises CacheError."""
        with self.writer(key, type(record)) as writer:
            writer.append(record)

    def _damaged(self, path: Path, damage: layout.DamageError) -> None:
        moved = layout.set_aside(self.folder, path) if self.mode == "use" else None
        if moved is None and not path.exists():
            return  # removed by another process while we looked
        done = f"set aside as {moved}" if moved else "left where it is"
        self.on_event(f"{path}: damaged cache entry ({damage}), {done}; its content is computed again")

    def _touch(self, path: Path) -> None:
        if self.mode == "use":
            with contextlib.suppress(OSError):
                os.utime(path / layout.MARKER)


def known_records() -> dict[str, type[Record]]:
    """The record classes of ``mmfa_components.records`` by name."""
    return {n: c for n, c in vars(own_records).items() if isinstance(c, type) and issubclass(c, Record) and c is not Record}
