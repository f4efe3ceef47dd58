"""Record tensors as Zarr v3 arrays. Only this module and zip_arrays.py import zarr.

Framewise arrays are cut along frames only: chunks (unit of read) of at most 256 KiB and 64 frames, shards (unit of write) of about
8 MiB of the whole record. Sizes are powers of two that follow from the shape of a frame alone. All other records are one chunk a field.
bfloat16, which NumPy does not have, is stored as the int16 of the same bits, with its name in the attribute ``torch_dtype``.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from torch import Tensor
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.storage import LocalStore

from mmfa_components.errors import CacheError

CHUNK_BYTES, CHUNK_FRAMES = 256 * 1024, 64
SHARD_BYTES, SHARD_FRAMES = 8 * 1024 * 1024, 4096
DTYPE = "torch_dtype"
_TORCH: Mapping[str, torch.dtype] = {
    str(d).removeprefix("torch."): d
    for d in (
        torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
        torch.float16, torch.bfloat16, torch.float32, torch.float64,
    )
}  # fmt: skip


def _power_of_two(limit: int, most: int) -> int:
    """The largest power of two of at most ``limit`` and ``most``, at least 1."""
    return 1 << (max(1, min(limit, most)).bit_length() - 1)


def shard_frames(row: Mapping[str, Tensor]) -> int:
    """Frames of one shard of a framewise record; ``row`` holds its tensors, of any length (N, ...)."""
    size = sum(int(np.prod(t.shape[1:])) * t.element_size() for t in row.values())
    return _power_of_two(SHARD_BYTES // max(1, size), SHARD_FRAMES)


def _chunk_frames(tensor: Tensor, shard: int) -> int:
    size = int(np.prod(tensor.shape[1:])) * tensor.element_size()
    return min(shard, _power_of_two(CHUNK_BYTES // max(1, size), CHUNK_FRAMES))


def dtype_name(tensor: Tensor, where: str) -> str:
    """The dtype's name, e.g. "float32". Raises CacheError for dtypes that cannot be stored."""
    name = str(tensor.dtype).removeprefix("torch.")
    if name not in _TORCH:
        raise CacheError(f"{tensor.dtype} cannot be stored", where=where, fix=f"use one of: {', '.join(_TORCH)}")
    return name


def to_numpy(tensor: Tensor) -> np.ndarray[Any, Any]:
    """The array as it is stored."""
    tensor = tensor.detach().cpu().contiguous()
    return (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy()


def to_torch(array: np.ndarray[Any, Any], name: str) -> Tensor:
    """A stored array as a tensor of dtype ``name``."""
    array = np.require(array, requirements=["C", "W"])
    tensor = torch.from_numpy(array)
    return tensor.view(torch.bfloat16) if name == "bfloat16" else tensor


class ArrayGroup:
    """The Zarr group of one entry."""

    def __init__(self, folder: Path, create: bool) -> None:
        self.folder = folder
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # files beside the arrays (pre-image, marker) are no part of the hierarchy
            store = LocalStore(folder, read_only=not create)
            self.group = zarr.create_group(store, zarr_format=3) if create else zarr.open_group(store, mode="r", zarr_format=3)
        self._read: dict[str, Any] = {}  # arrays that were read before; entries are read only when they are complete

    def create_framewise(self, name: str, example: Tensor, shard: int) -> None:
        """Create an empty array (0, ...) like ``example`` (N, ...) that grows along frames, ``shard`` frames a file."""
        row = tuple(max(1, s) for s in example.shape[1:])
        chunk = _chunk_frames(example, shard)
        self._create(name, example, (0, *example.shape[1:]), (chunk, *row), (shard, *row))

    def append(self, name: str, rows: Tensor) -> None:
        """Append ``rows`` (n, ...) to a framewise array."""
        array: Any = self.group[name]
        start = array.shape[0]
        array.resize((start + rows.shape[0], *array.shape[1:]))
        if rows.numel():
            array[start : start + rows.shape[0]] = to_numpy(rows)

    def write_whole(self, name: str, tensor: Tensor) -> None:
        """Store ``tensor`` of any shape in one piece."""
        self._create(name, tensor, tuple(tensor.shape), tuple(max(1, s) for s in tensor.shape), None)
        if tensor.numel():
            array: Any = self.group[name]
            array[...] = to_numpy(tensor)

    def _create(self, name: str, example: Tensor, shape: tuple[int, ...], chunks: tuple[int, ...], shards: tuple[int, ...] | None) -> None:
        dtype = dtype_name(example, name)
        stored = "int16" if dtype == "bfloat16" else dtype
        self.group.create_array(
            name,
            shape=shape,
            dtype=stored,
            chunks=chunks,
            shards=shards,
            fill_value=np.zeros((), stored)[()],
            compressors=[BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"), Crc32cCodec()],  # checked whenever a chunk is read
            attributes={DTYPE: dtype},
        )

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a stored field."""
        array: Any = self.group[name]
        return tuple(array.shape)

    def read(self, name: str, start: int | None = None, stop: int | None = None) -> Tensor:
        """A field, or its rows ``start:stop``, as a tensor on the CPU with the dtype it was written with."""
        if name not in self._read:
            self._read[name] = self.group[name]
        array = self._read[name]
        values = array[...] if start is None else array[start:stop]
        return to_torch(np.asarray(values), str(array.attrs[DTYPE]))
