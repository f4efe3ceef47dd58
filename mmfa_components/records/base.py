"""The base of all records: frozen attrs classes whose tensors are checked when they are built.

A field declared with :func:`tensor` names its shape, e.g. ``rotation: Tensor = tensor("N", 3, 3)``. Letters are sizes that
must agree between all fields of one record; numbers are fixed; ``"..."`` at the end allows anything. A record whose first
symbol is ``"N"`` in every field is *framewise*: it can be sliced, concatenated and cached along frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeVar, get_args

import attrs
import torch
from torch import Tensor

from mmfa_components.errors import RecordError

DTypeClass = Literal["float", "int", "bool", "uint8"]
_SHAPE, _DTYPE = "mmfa_shape", "mmfa_dtype"
R = TypeVar("R", bound="Record")


def tensor(*shape: int | str, dtype: DTypeClass = "float") -> Any:
    """Declare a tensor field: its shape (numbers, letters, or ``"..."`` last) and its dtype class."""
    if dtype not in get_args(DTypeClass):
        raise ValueError(f"unknown dtype class {dtype!r}")
    return attrs.field(metadata={_SHAPE: shape, _DTYPE: dtype})


def _dtype_class(t: Tensor) -> str:
    if t.dtype == torch.bool:
        return "bool"
    if t.dtype == torch.uint8:
        return "uint8"
    return "float" if t.dtype.is_floating_point else "int"


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
        """The device all tensors of this record are on."""
        return next(iter(self.tensors().values())).device

    def __len__(self) -> int:
        return int(next(iter(self.tensors().values())).shape[0])

    # ---- making new ones -----------------------------------------------------------------------------------------
    def map(self: R, function: Any) -> R:
        """Return the same record with ``function`` applied to every tensor."""
        return attrs.evolve(self, **{k: function(v) for k, v in self.tensors().items()})

    def to(self: R, device: torch.device | str) -> R:
        """Return the same record on ``device``."""
        return self.map(lambda t: t.to(device))

    def __getitem__(self: R, index: slice | Tensor | Sequence[int]) -> R:
        """Frames ``index`` of a framewise record (a slice, a list or an index/boolean tensor; never a bare number)."""
        if not type(self).framewise():
            raise RecordError("only framewise records can be indexed", where=type(self).__name__)
        if isinstance(index, int):
            raise RecordError("use a slice such as [i:i+1]: a record keeps its frame axis", where=type(self).__name__)
        return self.map(lambda t: t[index])

    def spans(self: R, length: int) -> Iterator[R]:
        """Cut a framewise record into consecutive spans of at most ``length`` frames."""
        for start in range(0, len(self), length):
            yield self[start : start + length]

    @classmethod
    def concatenate(cls: type[R], parts: Sequence[R]) -> R:
        """Join framewise records along their frame axis. Raises RecordError when ``parts`` is empty."""
        if not parts or not cls.framewise():
            raise RecordError("needs at least one part of a framewise record", where=cls.__name__)
        names = cls.tensor_fields()
        return attrs.evolve(parts[0], **{n: torch.cat([getattr(p, n) for p in parts]) for n in names})

    @classmethod
    def from_tensors(cls: type[R], tensors: Mapping[str, Tensor]) -> R:
        """Build the record from a mapping of its tensor fields (the inverse of :meth:`tensors`)."""
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
            raise RecordError(f"expected shape {text} with {want} = {expected}, got {got} (axis {axis})", where=where)
