"""Motion as one portable file, ``*.motion.zip``: a zipped Zarr v3 group with a readable header. No pickle, nothing that runs.

``unzip -p FILE zarr.json`` shows the header (attribute ``mmfa_motion``). Beside the fields of the motion record lies ``pts``, the
timestamps of its frames; what another system kept and MMFA does not use lies in ``more/<record>/<field>``.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import zipfile
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import attrs
import torch
from torch import Tensor

from cache.store import known_records
from cache.writer import writing
from cache.zip_arrays import ROWS, ZipReader, ZipWriter
from mmfa_components.errors import CacheError, RecordError, reason_of
from mmfa_components.processes import process_mark
from mmfa_components.records import HEAD, MotionKind, Record, motion_kind_of

FORMAT, ATTRIBUTE, SUFFIX = 1, "mmfa_motion", ".motion.zip"
NOTE = "The motion of a person's face. Use it only with that person's consent; say that what is made with it is synthetic."


@attrs.frozen
class MotionHeader:
    """What a motion file says of itself.

    record: fingerprint of the motion's record class.  frames: rows.  rate: nominal frames a second.  time_base: unit of the timestamps in
    seconds.  animator: fingerprint of the animator that made it ({}: not known).  square: crop square in pixels of the clip (centre x, centre
    y, side, clockwise angle), None when not known.  source: file name of the clip.  source_digest: its sha256, "" when not known.
    reference: the neutral frame, None to look for one.  synthetic: True when the motion was edited or made, not measured.
    key: pre-image of the cache entry it was exported from, {} for none.  more: fingerprints of further records by name.
    """

    record: str
    frames: int
    rate: Fraction
    time_base: Fraction
    animator: dict[str, Any] = attrs.field(factory=dict)
    square: tuple[float, ...] | None = None
    source: str = ""
    source_digest: str = ""
    reference: int | None = None
    synthetic: bool = False
    key: dict[str, Any] = attrs.field(factory=dict)
    more: dict[str, str] = attrs.field(factory=dict)
    created: str = ""
    note: str = NOTE

    @property
    def has_expression(self) -> bool:
        """False when another system's expression could not be taken along."""
        return not self.more or "LivePortraitTemplate" not in self.more


class Rows(Protocol):
    """A motion that is read span by span: an entry of the cache, or :class:`RecordRows` of one in memory."""

    def __len__(self) -> int: ...
    def read(self, start: int, stop: int) -> Any: ...


@attrs.frozen(eq=False)
class RecordRows:
    """A record in memory as Rows."""

    record: Record

    def __len__(self) -> int:
        return len(self.record)

    def read(self, start: int, stop: int) -> Any:
        """Rows ``start:stop``."""
        return self.record[start:stop]


def write_motion(path: Path, motion: Rows, pts: Rows | None, more: Mapping[str, Record] | None = None, **header: Any) -> MotionHeader:
    """Write a motion file aside and rename it.

    pts: timestamps (records with the field ``pts``) in ``time_base``; None: evenly spaced at ``rate``.  more: further records of as many
    frames.  header: fields of MotionHeader but record, frames, more, created.  Raises CacheError.
    """
    frames = len(motion)
    if not frames:
        raise CacheError("there is no motion to write", where=str(path), fix="give a clip with frames")
    if pts is None:
        header["time_base"] = 1 / Fraction(header["rate"])
        pts = RecordRows(_even(frames))
    record = type(motion.read(0, 1))
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    others = {name: type(r).fingerprint() for name, r in (more or {}).items()}
    told = MotionHeader(record.fingerprint(), frames, more=others, created=created, **header)
    partial = path.with_name(f".{path.stem}.part-{process_mark()}{path.suffix}")
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write(partial, told, motion, pts, more or {})
            os.replace(partial, path)
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
    return told


def _write(path: Path, header: MotionHeader, motion: Rows, pts: Rows, more: Mapping[str, Record]) -> None:
    writer = ZipWriter(path, {ATTRIBUTE: _to_json(header)})
    try:
        sources: dict[str, tuple[Rows, str]] = {name: (motion, name) for name in motion.read(0, 1).tensor_fields()}
        sources["pts"] = pts, "pts"
        for record_name, record in more.items():
            sources |= {f"more/{record_name}/{name}": (RecordRows(record), name) for name in record.tensor_fields()}
        for name, (rows, field) in sources.items():

            def spans(rows: Rows = rows, field: str = field) -> Iterator[Tensor]:
                for start in range(0, header.frames, ROWS):
                    yield getattr(rows.read(start, min(start + ROWS, header.frames)), field)

            writer.write(name, header.frames, spans)
    finally:
        writer.close()


class MotionFile:
    """An opened motion file, read span by span.

    records: classes besides those of ``mmfa_components.records``, by name.  motions: kinds of motion besides that of a head, likewise.

    Raises CacheError when the file is no motion file, is damaged, or was made for another version of its record.
    """

    def __init__(
        self,
        path: Path,
        records: Mapping[str, type[Record]] | None = None,
        motions: Mapping[str, MotionKind] | None = None,
    ) -> None:
        self.path = Path(path)
        known = {**known_records(), **(records or {})}
        with self._reading():
            self._zip = ZipReader(self.path)
            attributes = self._zip.attributes
            if ATTRIBUTE not in attributes:
                raise CacheError("is a zip file, but no motion file", where=str(path), fix="export one: mmfa cache export")
            self.header = _from_json(attributes[ATTRIBUTE], str(path))
            self.record = _class_of(self.header.record, known, str(path))
            kind = motion_kind_of(self.record, {HEAD.record.__name__: HEAD, **(motions or {})})
            if kind is None:
                what = f"holds a {self.record.__name__}, which is no motion"
                raise CacheError(what, where=str(path), fix="export the motion of a clip: mmfa cache ls")
            self.kind = kind
            self._more = {name: _class_of(print_, known, str(path)) for name, print_ in self.header.more.items()}
            for name in [*self.record.tensor_fields(), "pts"]:
                if self._zip.shape(name)[:1] != (self.header.frames,):
                    raise ValueError(f"{name} has {self._zip.shape(name)} rows instead of {self.header.frames}")

    def __len__(self) -> int:
        return self.header.frames

    def read(self, start: int, stop: int) -> Any:
        """Frames ``start:stop`` of the motion on the CPU. Raises CacheError when they cannot be read or are no finite numbers."""
        with self._reading():
            record = self.record.from_tensors({name: self._zip.read(name, start, stop) for name in self.record.tensor_fields()})
        if not all(bool(torch.isfinite(t).all()) for t in record.tensors().values()):
            raise CacheError(f"holds values that are no finite numbers in frames {start} to {stop - 1}", where=str(self.path))
        return record

    def pts(self, start: int, stop: int) -> Tensor:
        """Timestamps (n,) of frames ``start:stop`` in ``header.time_base``."""
        with self._reading():
            return self._zip.read("pts", start, stop)

    def more(self, name: str) -> Record:
        """A further record. Raises KeyError when there is none of this name, CacheError when it cannot be read."""
        record = self._more[name]
        with self._reading():
            return record.from_tensors({n: self._zip.read(f"more/{name}/{n}", 0, len(self)) for n in record.tensor_fields()})

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
            raise CacheError(f"cannot be read ({reason_of(error)})", where=str(self.path), fix="check the path") from error
        except (zipfile.BadZipFile, OSError, ValueError, TypeError, KeyError, RuntimeError, RecordError) as error:
            if isinstance(error, CacheError):
                raise
            fix = "copy or export the file again"
            raise CacheError(f"is no motion file, or is damaged ({error})", where=str(self.path), fix=fix) from error


def is_motion_file(path: Path) -> bool:
    """True when a file's content says that it is a motion file (it may still be damaged)."""
    try:
        with zipfile.ZipFile(path) as opened, opened.open("zarr.json") as file:
            return ATTRIBUTE.encode() in file.read(1 << 20)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, RuntimeError, NotImplementedError):
        return False


def _even(frames: int) -> Record:
    from mmfa_components.records import Timestamps

    return Timestamps(torch.arange(frames))


def _class_of(fingerprint: str, known: Mapping[str, type[Record]], where: str) -> type[Record]:
    name = fingerprint.split("/")[0]
    if name not in known:
        raise CacheError(f"holds a record {name!r} that is not known here", where=where, fix="install the plugin that brings it")
    if known[name].fingerprint() != fingerprint:
        what = f"was made for {fingerprint}, but {name} is {known[name].fingerprint()} here"
        raise CacheError(what, where=where, fix="export it again with this version of MMFA")
    return known[name]


def _to_json(header: MotionHeader) -> dict[str, Any]:
    return {"format": FORMAT, **attrs.asdict(header), "rate": str(header.rate), "time_base": str(header.time_base)}


def _from_json(body: Any, where: str) -> MotionHeader:
    body = dict(body)
    version = body.pop("format", None)
    if version != FORMAT:
        raise CacheError(f"is of format {version}, this version of MMFA reads {FORMAT}", where=where, fix="use the MMFA that wrote it")
    fields = {f.name for f in attrs.fields(MotionHeader)}
    body = {k: v for k, v in body.items() if k in fields}
    body["rate"], body["time_base"] = Fraction(body["rate"]), Fraction(body["time_base"])
    body["square"] = tuple(float(v) for v in body["square"]) if body.get("square") else None
    header = MotionHeader(**body)
    if not (isinstance(header.frames, int) and header.frames > 0 and header.rate > 0 and header.time_base > 0):
        raise ValueError("its header does not hold together")
    return header
