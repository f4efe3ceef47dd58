"""Zarr v3 arrays in one zip file: what motion files are made of. Nothing in it can be executed."""

from __future__ import annotations

import math
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from torch import Tensor
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.storage import ZipStore

from cache.arrays import DTYPE, dtype_name, to_numpy, to_torch

ROWS = 4096
"""Rows in one chunk."""
LARGEST_CHUNK = 64 * 1024 * 1024
"""Bytes of a chunk above which a file is refused: it would be unpacked in one piece."""


class ZipWriter:
    """Writes arrays once each, row span by row span. ``attributes`` is the readable header, in ``zarr.json`` of the zip."""

    def __init__(self, path: Path, attributes: Mapping[str, Any]) -> None:
        self._store = ZipStore(path, mode="w")
        self._group = zarr.create_group(self._store, zarr_format=3, attributes=dict(attributes))

    def write(self, name: str, rows: int, spans: Callable[[], Iterator[Tensor]]) -> None:
        """Store an array of ``rows`` rows; ``spans()`` gives it in pieces of ROWS rows, the last one shorter."""
        array: Any = None
        start = 0
        for span in spans():
            if array is None:
                dtype = dtype_name(span, name)
                row = tuple(max(1, s) for s in span.shape[1:])
                array = self._group.create_array(
                    name, shape=(rows, *span.shape[1:]), dtype="int16" if dtype == "bfloat16" else dtype, chunks=(min(ROWS, rows), *row),
                    compressors=[BloscCodec(cname="zstd", clevel=5, shuffle="shuffle"), Crc32cCodec()],
                    attributes={DTYPE: dtype}, config={"write_empty_chunks": True},
                )  # fmt: skip
            if span.numel():
                array[start : start + len(span)] = to_numpy(span)
            start += len(span)

    def close(self) -> None:
        """Finish the zip."""
        self._store.close()


class ZipReader:
    """Reads arrays of a zip file. Raises OSError, ValueError, KeyError or zipfile.BadZipFile for files that are damaged or odd."""

    def __init__(self, path: Path) -> None:
        self._store = ZipStore(path, mode="r")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of files beside the arrays
            self._group = zarr.open_group(self._store, mode="r", zarr_format=3)
        with zipfile.ZipFile(path) as opened:
            self._names = set(opened.namelist())

    @property
    def attributes(self) -> dict[str, Any]:
        """The header."""
        return dict(self._group.attrs)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an array that is complete. Raises ValueError when a part of it is missing or is too large to unpack."""
        array: Any = self._group[name]
        size = math.prod(array.chunks) * array.dtype.itemsize
        if size > LARGEST_CHUNK:
            raise ValueError(f"{name} is stored in pieces of {size} bytes")
        counts = [-(-s // c) for s, c in zip(array.shape, array.chunks, strict=True)]
        for index in np.ndindex(*counts):
            part = f"{name}/c/{'/'.join(map(str, index))}"
            if part not in self._names:
                raise ValueError(f"{part} is missing")
        return tuple(array.shape)

    def read(self, name: str, start: int, stop: int) -> Tensor:
        """Rows ``start:stop`` of an array."""
        array: Any = self._group[name]
        return to_torch(np.asarray(array[start:stop]), str(array.attrs[DTYPE]))

    def close(self) -> None:
        """Close the zip."""
        self._store.close()
