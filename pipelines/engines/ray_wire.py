"""Tensors on their way between Ray processes: as NumPy arrays, which Ray moves without pickling their bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def register_tensors() -> None:
    """Make this process send and take tensors so; every process that exchanges them calls it once."""
    import ray

    ray.util.register_serializer(torch.Tensor, serializer=to_wire, deserializer=from_wire)


def to_wire(tensor: torch.Tensor) -> tuple[np.ndarray[Any, Any], str]:
    """A tensor of any device as an array on the CPU, and its dtype where NumPy has none of the kind."""
    plain = tensor.detach().cpu().contiguous()
    if plain.dtype == torch.bfloat16:
        return plain.view(torch.int16).numpy(), "bfloat16"
    return plain.numpy(), ""


def from_wire(wire: tuple[np.ndarray[Any, Any], str]) -> torch.Tensor:
    """The tensor, in memory of its own: what Ray hands out is read-only and holds the object store's space."""
    array, kind = wire
    tensor = torch.from_numpy(np.array(array))
    return tensor.view(torch.bfloat16) if kind == "bfloat16" else tensor
