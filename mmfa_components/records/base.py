"""The base of all records: frozen attrs classes whose tensors are checked when they are built.

A field declared with :func:`tensor` names its shape, e.g. ``rotation: Tensor = tensor("N", 3, 3)``. Letters are sizes that
must agree between all fields of one record; numbers are fixed; ``"..."`` at the end allows anything. A record whose first
symbol is ``"N"`` in every field is *framewise*: it can be sliced, concatenated and cached along frames. A field also says how
its values move, e.g. ``tensor("N", 3, 3, law=TURNED)``; see :mod:`mmfa_components.records.laws`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeVar, get_args

import attrs
import torch
from torch import Tensor

from mmfa_components.errors import RecordError
from mmfa_components.records.laws import ADDED, HELD, TURNED, Law

DTypeClass = Literal["float", "int", "bool", "uint8"]
_SHAPE, _DTYPE, _LAW = "mmfa_shape", "mmfa_dtype", "mmfa_law"
R = TypeVar("R", bound="Record")


def tensor(*shape: int | str, dtype: DTypeClass = "float", law: Law | None = None) -> Any:
    """Declare a tensor field.

    Args:
        shape: sizes as numbers, letters, or ``"..."`` last.
        dtype: dtype class of the values.
        law: how the values move; by default ADDED for float fields and HELD for all others. It is no part of the fingerprint.

    Raises:
        ValueError: an unknown dtype class or shape, or a law that the field cannot follow.
    """
    if dtype not in get_args(DTypeClass):
        raise ValueError(f"unknown dtype class {dtype!r}")
    for axis, size in enumerate(shape):
        last = axis == len(shape) - 1
        known = size == "..." and last if isinstance(size, str) and not size.isidentifier() else isinstance(size, str) or _is_size(size)
        if not known:
            raise ValueError(f'a shape is made of numbers, letters and a last "...", got {shape}')
    law = law or (ADDED if dtype == "float" else HELD)
    if law is not HELD and dtype != "float":
        raise ValueError(f"only float fields can follow the law {law.name}, this one is {dtype}")
    if law is TURNED and shape[-2:] != (3, 3):
        raise ValueError(f"only rotations (..., 3, 3) can follow the law TURNED, got {shape}")
    return attrs.field(metadata={_SHAPE: shape, _DTYPE: dtype, _LAW: law})


def _is_size(size: object) -> bool:
    return isinstance(size, int) and not isinstance(size, bool) and size >= 0


def _dtype_class(t: Tensor) -> str:
    if t.dtype == torch.bool:
        return "bool"
    if t.dtype == torch.uint8:
        return "uint8"
    if t.dtype in (torch.int8, torch.int16, torch.int32, torch.int64):
        return "int"
    return "float" if t.dtype.is_floating_point else str(t.dtype)


@attrs.frozen(eq=False)
class Record:
    """Base of all records. Subclasses set ``schema`` and raise it whenever the meaning of a field changes."""

    schema: ClassVar[int] = 1

    def __attrs_post_init__(self) -> None:
        sizes: dict[str, int] = {}
        device: torch.device | None = None
        name = type(self).__name__
        for field in attrs.fields(type(self)):
            shape = field.metadata.get(_SHAPE)
            if shape is None:
                continue
            value = getattr(self, field.name)
            where = f"{name}.{field.name}"
            if not isinstance(value, Tensor):
                raise RecordError(f"expected a torch tensor, got {type(value).__name__}", where=where)
            _check_shape(value, shape, sizes, where)
            if _dtype_class(value) != field.metadata[_DTYPE]:
                raise RecordError(f"expected dtype {field.metadata[_DTYPE]}, got {value.dtype}", where=where)
            if device is None:
                device = value.device
            elif value.device != device:
                raise RecordError(f"on {value.device}, but the record's other fields are on {device}", where=where)

    # ---- reading -------------------------------------------------------------------------------------------------
    @classmethod
    def tensor_fields(cls) -> dict[str, tuple[int | str, ...]]:
        """Names and declared shapes of the tensor fields, in order."""
        return {f.name: f.metadata[_SHAPE] for f in attrs.fields(cls) if _SHAPE in f.metadata}

    @classmethod
    def laws(cls) -> dict[str, Law]:
        """Names of the tensor fields and how their values move, in order."""
        return {f.name: f.metadata[_LAW] for f in attrs.fields(cls) if _LAW in f.metadata}

    @classmethod
    def framewise(cls) -> bool:
        """True when every tensor field has the leading frame axis ``N``."""
        shapes = list(cls.tensor_fields().values())
        return bool(shapes) and all(s and s[0] == "N" for s in shapes)

    @classmethod
    def fingerprint(cls) -> str:
        """A text that changes whenever the record's name, schema version or declared fields change."""
        fields = [(f.name, f.metadata[_SHAPE], f.metadata[_DTYPE]) for f in attrs.fields(cls) if _SHAPE in f.metadata]
        digest = hashlib.sha256(repr(fields).encode()).hexdigest()[:12]
        return f"{cls.__name__}/{cls.schema}/{digest}"

    def tensors(self) -> dict[str, Tensor]:
        """The tensor fields by name."""
        return {name: getattr(self, name) for name in self.tensor_fields()}

    @property
    def device(self) -> torch.device:
        """The device all tensors of this record are on. Raises RecordError for a record without tensors."""
        return self._first().device

    def __len__(self) -> int:
        first = self._first()
        return int(first.shape[0]) if first.ndim else 1

    def _first(self) -> Tensor:
        for value in self.tensors().values():
            return value
        raise RecordError("has no tensor fields", where=type(self).__name__, fix="declare them with records.tensor")

    def plain(self, record: type[R]) -> R:
        """This record as ``record``, a class that it is or extends: what subclasses add is left out."""
        return record(**{name: getattr(self, name) for name in record.tensor_fields()})

    # ---- making new ones -----------------------------------------------------------------------------------------
    def map(self: R, function: Any) -> R:
        """Return the same record with ``function`` applied to every tensor."""
        return attrs.evolve(self, **{k: function(v) for k, v in self.tensors().items()})

    def to(self: R, device: torch.device | str) -> R:
        """Return the same record on ``device``."""
        return self.map(lambda t: t.to(device))

    def __getitem__(self: R, index: slice | Tensor | Sequence[int]) -> R:
        """Frames ``index`` of a framewise record (a slice, a list or a 1D index/boolean tensor; never a bare number).

        Raises RecordError for any other index, and for one outside of the record.
        """
        where = type(self).__name__
        if not type(self).framewise():
            raise RecordError("only framewise records can be indexed", where=where)
        if isinstance(index, int) or (isinstance(index, Tensor) and index.ndim == 0):
            raise RecordError("use a slice such as [i:i+1]: a record keeps its frame axis", where=where)
        rows: Any = index
        try:
            if not isinstance(index, slice):
                rows = torch.as_tensor(index)
                rows = rows.long() if not rows.numel() and rows.dtype != torch.bool else rows
                if rows.ndim != 1 or rows.dtype == torch.uint8:
                    raise TypeError("use a slice, a list of frame numbers, or a 1D index or boolean tensor")
            return self.map(lambda t: t[rows])
        except (IndexError, TypeError, ValueError, RuntimeError) as error:
            if isinstance(error, RecordError):
                raise
            raise RecordError(f"cannot be indexed with {_short(index)}: {error}", where=f"{where} of {len(self)} frames") from error

    def spans(self: R, length: int) -> Iterator[R]:
        """Cut a framewise record into consecutive spans of at most ``length`` frames. Raises RecordError for ``length`` < 1."""
        if length < 1:
            raise RecordError(f"a span needs at least one frame, got length {length}", where=type(self).__name__)
        for start in range(0, len(self), length):
            yield self[start : start + length]

    @classmethod
    def concatenate(cls: type[R], parts: Sequence[R]) -> R:
        """Join framewise records along their frame axis; other fields are the first part's, mixed dtypes are promoted as torch does.

        Raises RecordError when ``parts`` is empty, is of another class, or does not fit together.
        """
        if not parts or not cls.framewise():
            raise RecordError("needs at least one part of a framewise record", where=cls.__name__)
        for number, part in enumerate(parts):
            if not isinstance(part, cls):
                raise RecordError(f"part {number} is a {type(part).__name__}", where=f"{cls.__name__}.concatenate")
        joined: dict[str, Tensor] = {}
        for name in cls.tensor_fields():
            values = [getattr(p, name) for p in parts]
            for number, value in enumerate(values):
                if value.shape[1:] != values[0].shape[1:] or value.device != values[0].device:
                    what = f"part {number} is {tuple(value.shape)} on {value.device}, part 0 {tuple(values[0].shape)} on {values[0].device}"
                    raise RecordError(what, where=f"{cls.__name__}.{name}", fix="join records with frames of one size on one device")
            joined[name] = torch.cat(values)
        return attrs.evolve(parts[0], **joined)

    @classmethod
    def from_tensors(cls: type[R], tensors: Mapping[str, Tensor]) -> R:
        """Build the record from a mapping of its tensor fields (the inverse of :meth:`tensors`).

        Raises RecordError naming missing and unknown fields.
        """
        names = cls.tensor_fields().keys()
        faults = [f"missing {n}" for n in names if n not in tensors] + [f"unknown {n}" for n in tensors if n not in names]
        if faults:
            raise RecordError(f"cannot be built: {', '.join(faults)}", where=cls.__name__, fix=f"its fields are {', '.join(names)}")
        return cls(**dict(tensors))


def _check_shape(value: Tensor, shape: tuple[int | str, ...], sizes: dict[str, int], where: str) -> None:
    open_ended = bool(shape) and shape[-1] == "..."
    wanted = shape[:-1] if open_ended else shape
    got = tuple(value.shape)
    text = f"({', '.join(str(s) for s in shape)})"
    if len(got) < len(wanted) or (len(got) != len(wanted) and not open_ended):
        raise RecordError(f"expected shape {text}, got {got}", where=where)
    for axis, (want, have) in enumerate(zip(wanted, got, strict=False)):
        expected = sizes.setdefault(want, have) if isinstance(want, str) else want
        if have != expected:
            sized = f" with {want} = {expected}" if isinstance(want, str) else ""
            raise RecordError(f"expected shape {text}{sized}, got {got} (axis {axis})", where=where)


def _short(index: object) -> str:
    text = repr(index)
    return text if len(text) <= 60 else f"{text[:57]}..."
