"""Writing one record: aside, checked, flushed, then published by a single rename."""

from __future__ import annotations

import contextlib
import datetime
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import attrs

import cache.entry as layout
from cache.arrays import ArrayGroup, dtype_name, shard_frames
from cache.keys import CacheKey
from mmfa_components.errors import CacheError, reason_of
from mmfa_components.records import Record


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn operating-system errors of a write into CacheError."""
    try:
        yield
    except OSError as error:
        fix = "free space there, give a cache folder that can be written (cache.folder), or switch the cache off (cache.mode)"
        raise CacheError(f"the cache cannot be written ({reason_of(error)})", where=str(folder), fix=fix) from error


class RecordWriter:
    """Writes one record, span by span, in memory that does not grow with its length. Get it from ``RecordCache.writer``.

    A clean exit publishes the entry; an exception leaves nothing behind. When another process has published the same key
    meanwhile, its entry stays and this one is dropped.
    """

    def __init__(self, folder: Path, key: CacheKey, record: type[Record]) -> None:
        self.folder, self.key, self.record = folder, key, record
        self.target = layout.entry_path(folder, key.digest)
        self.temporary = layout.temporary_path(folder, key.digest)
        self.frames = 0
        self._group: ArrayGroup | None = None
        self._pending: list[Record] = []
        self._pending_frames = 0
        self._shard = 0
        self._fields: dict[str, tuple[str, tuple[int, ...]]] = {}
        _check_storable(record, key)

    def __enter__(self) -> RecordWriter:
        with writing(self.folder):
            try:
                self.temporary.mkdir(parents=True)
            except (FileExistsError, NotADirectoryError) as error:
                raise NotADirectoryError(None, "a file is in the way of the folder") from error
            self._group = ArrayGroup(self.temporary, create=True)
        return self

    def append(self, span: Record) -> None:
        """Add frames of a framewise record, or the one whole record of another kind.

        Raises:
            CacheError: the cache cannot be written, or the span does not continue the record (class, dtype, size of a frame).
        """
        if self._group is None:
            raise CacheError("append needs an open writer", where=self.record.__name__, fix="use it in a with statement")
        self._check_span(span)
        with writing(self.folder):
            if not self.record.framewise():
                for name, tensor in span.tensors().items():
                    self._group.write_whole(name, tensor)
                self.frames = len(span)
                return
            if not self._shard:
                self._shard = shard_frames(span.tensors())
                for name, tensor in span.tensors().items():
                    self._group.create_framewise(name, tensor, self._shard)
            start = 0
            while start < len(span):  # a pending shard never holds more than shard frames
                part = span[start : start + self._shard - self._pending_frames].map(lambda t: t.detach().cpu().clone())
                self._pending.append(part)
                self._pending_frames += len(part)
                start += len(part)
                if self._pending_frames == self._shard:
                    self._flush()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                with writing(self.folder):
                    self._publish()
        finally:
            self._group = None
            self._pending = []
            shutil.rmtree(self.temporary, ignore_errors=True)

    # ---- inside ---------------------------------------------------------------------------------------------------------
    def _check_span(self, span: Record) -> None:
        where = f"{self.record.__name__} of {self.key.input_name or self.key.digest[:12]}"
        if type(span) is not self.record:
            raise CacheError(f"got a {type(span).__name__}", where=where, fix="append spans of the record class the writer was made for")
        framewise = self.record.framewise()
        cut = 1 if framewise else 0
        fields = {n: (dtype_name(t, f"{where}, field {n}"), tuple(t.shape[cut:])) for n, t in span.tensors().items()}
        if self._fields and not framewise:
            raise CacheError("is stored whole and was already written", where=where, fix="append it once")
        for name, (dtype, shape) in self._fields.items():
            if fields[name] != (dtype, shape):
                text = f"{name} is {fields[name][0]} {fields[name][1]} a frame, but began as {dtype} {shape}"
                raise CacheError(text, where=f"{where}, frame {self.frames}", fix="give all spans the same dtype and sizes")
        self._fields = fields
        if framewise:
            self.frames += len(span)

    def _flush(self) -> None:
        if self._pending and self._group is not None:
            whole = self.record.concatenate(self._pending)
            self._pending, self._pending_frames = [], 0
            for name, tensor in whole.tensors().items():
                self._group.append(name, tensor)

    def _publish(self) -> None:
        if not self._fields or self._group is None:
            raise CacheError("nothing was appended", where=self.record.__name__, fix="append at least one span before the writer closes")
        self._flush()
        framewise = self.record.framewise()
        shapes = {n: (self.frames, *s) if framewise else s for n, (_, s) in self._fields.items()}
        for name, shape in shapes.items():
            if self._group.shape(name) != shape:
                raise CacheError(f"wrote {self._group.shape(name)} instead of {shape}", where=f"{self.temporary}/{name}")
        created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        stored: dict[str, Any] = {"hashed": self.key.preimage, "input_name": self.key.input_name, "created": created}
        if self.key.notes:
            stored["notes"] = self.key.notes
        layout.write_json(self.temporary / layout.PREIMAGE, stored)
        fields = {n: {"dtype": d, "shape": list(shapes[n])} for n, (d, _) in self._fields.items()}
        layout.seal(self.temporary, self.record.fingerprint(), self.frames, fields, self._shard)
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self._rename()
        layout.flush_directory(self.target.parent)

    def _rename(self) -> None:
        if self.target.exists():
            try:
                layout.check_sizes(self.target, layout.read_marker(self.target))
                return  # published by another process: its entry is as good as ours
            except layout.DamageError:
                layout.set_aside(self.folder, self.target)
            except FileNotFoundError:
                pass  # removed by another process meanwhile
        try:
            self.temporary.rename(self.target)
        except OSError:
            if not (self.target / layout.MARKER).exists():
                raise


def _check_storable(record: type[Record], key: CacheKey) -> None:
    name = record.__name__
    tensors = record.tensor_fields()
    others = [f.name for f in attrs.fields(record) if f.name not in tensors and f.init]
    if others or not tensors:
        what = f"has fields that are no arrays: {', '.join(others)}" if others else "has no array fields"
        raise CacheError(what, where=name, fix="declare every field of a record that is stored with records.tensor")
    if key.preimage["record"] != record.fingerprint():
        raise CacheError(f"the key was made for {key.preimage['record']}", where=name, fix="make the key with the class that is written")
