"""Records with random content for the cache's tests, and records of a pretended plugin."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor

from cache import CacheKey, RecordCache
from mmfa_components import records as r
from mmfa_components.records import Record, tensor

SIZES = {"N": 5, "M": 3, "K": 15, "P": 68, "E": 16, "Z": 8, "C": 4, "D": 3, "H": 8, "W": 6, "h": 2, "w": 2, "m": 4, "n": 4, "Q": 2}


@attrs.frozen(eq=False)
class Jacobians(Record):
    """A motion of another system: 2D points with Jacobians, open-ended shape."""

    points: Tensor = tensor("N", "K", 2)
    jacobians: Tensor = tensor("N", "K", "...")
    visible: Tensor = tensor("N", "K", dtype="bool")
    frame: Tensor = tensor("N", dtype="int")
    bytes: Tensor = tensor("N", "Q", dtype="uint8")


@attrs.frozen(eq=False)
class Calibration(Record):
    """A record without frames, one field a single number."""

    focal: Tensor = tensor()
    table: Tensor = tensor("A", "B")


def record_classes() -> list[type[Record]]:
    """All record classes of the package and the two above."""
    own = [c for c in vars(r).values() if isinstance(c, type) and issubclass(c, Record) and c is not Record]
    return [*own, Jacobians, Calibration]


def make(record: type[Record], frames: int = 5, seed: int = 0, dtype: torch.dtype = torch.float32) -> Any:
    """A record of random content; float fields have ``dtype``."""
    generator = torch.Generator().manual_seed(seed)
    sizes = {**SIZES, "N": frames}
    tensors = {}
    for field in attrs.fields(record):
        shape = [s if isinstance(s, int) else sizes.get(s, 2) for s in field.metadata["mmfa_shape"]]
        kind = field.metadata["mmfa_dtype"]
        if kind == "float":
            tensors[field.name] = torch.randn(shape, generator=generator).to(dtype)
        elif kind == "bool":
            tensors[field.name] = torch.rand(shape, generator=generator) > 0.5
        else:
            high = 255 if kind == "uint8" else 2**40
            tensors[field.name] = torch.randint(high, shape, generator=generator, dtype=torch.uint8 if kind == "uint8" else torch.int64)
    return record(**tensors)


def key_of(record: type[Record], name: str = "clip.mp4", **changes: Any) -> CacheKey:
    """A key; ``changes`` replace its parts."""
    parts: dict[str, Any] = {"components": [], "options": {"crop_ratio": 0.5}, "input_digest": "ab" * 32, "precision": "float32"}
    return CacheKey.of(record, **{**parts, **changes}, input_name=name)


def same(a: Record, b: Record) -> bool:
    """True when both records hold the same bits in the same dtypes."""
    x, y = a.tensors(), b.tensors()
    return x.keys() == y.keys() and all(x[n].dtype == y[n].dtype and x[n].shape == y[n].shape and _bits(x[n]) == _bits(y[n]) for n in x)


def _bits(t: Tensor) -> bytes:
    return (t.view(torch.int16) if t.dtype == torch.bfloat16 else t).numpy().tobytes()


def write(cache: RecordCache, key: CacheKey, spans: Sequence[Record], error: type[BaseException] | None = None) -> None:
    """Write spans under ``key``; then raise ``error`` inside the writer when one is given."""
    with cache.writer(key) as writer:
        for span in spans:
            writer.append(span)
        if error is not None:
            raise error


def entry_folder(cache_folder: Path, key: CacheKey) -> Path:
    """Where the entry of ``key`` lies."""
    return cache_folder / "v1" / key.digest[:2] / key.digest
