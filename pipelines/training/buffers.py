"""Batch statistics that a forward pass changes and that have to be put back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


class Kept:
    """What becomes of the buffers at the end of the block.

    ``put_back`` may be set to False inside it.
    """

    put_back = True


@contextlib.contextmanager
def buffers_kept(model: nn.Module) -> Iterator[Kept]:
    """After the block the buffers of ``model`` are what they were before it.

    The block may decide otherwise.
    """
    before = [b.clone() for b in model.buffers()]
    kept = Kept()
    yield kept
    if kept.put_back:
        with torch.no_grad():
            for buffer, old in zip(model.buffers(), before, strict=True):
                buffer.copy_(old)
