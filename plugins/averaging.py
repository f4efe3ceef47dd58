"""Weights averaged over files: the mean of runs of the same networks is often a little better than each ("Model soups", Wortsman et al. 2022)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from mmfa_components.errors import WeightsError
from mmfa_components.weights import file_digest, metadata, read_weights, write_weights


def average_weights(files: Sequence[Path], output: Path) -> dict[str, str]:
    """Write the mean of weights files of one architecture to ``output``, atomically, and return its metadata.

    Means are taken in single precision and kept in the precision of the first file; what is not floating is the first file's. The metadata
    holds what all files say alike, and the digests of the files under ``averaged``.
    Raises WeightsError for fewer than two files, a damaged one, or files that do not fit together, OutputError when the result cannot be written.
    """
    if len(files) < 2:
        raise WeightsError(f"{len(files)} weights file given, at least 2 are needed", where="average", fix="name the files to average")
    notes = [metadata(path) for path in files]
    read = [read_weights(path, notes[0].get("architecture", "")) for path in files]
    for path, tensors in zip(files[1:], read[1:], strict=True):
        _same_shapes(read[0], tensors, path)
    mean = {name: _mean([tensors[name] for tensors in read]) for name in read[0]}
    kept = {key: value for key, value in notes[0].items() if all(other.get(key) == value for other in notes[1:])}
    kept["averaged"] = json.dumps([file_digest(path) for path in files])
    write_weights(output, mean, kept)
    return kept


def _same_shapes(first: dict[str, Tensor], other: dict[str, Tensor], path: Path) -> None:
    differ = sorted(name for name in first.keys() | other.keys() if name not in first or name not in other or first[name].shape != other[name].shape)
    if differ:
        what = f"holds other tensors than the first file: {', '.join(differ[:4])}" + (f"; and {len(differ) - 4} more" if len(differ) > 4 else "")
        raise WeightsError(what, where=str(path), fix="average files of networks of the same sizes only")


def _mean(tensors: list[Tensor]) -> Tensor:
    first = tensors[0]
    return torch.stack([t.float() for t in tensors]).mean(0).to(first.dtype) if first.is_floating_point() else first
