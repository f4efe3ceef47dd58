"""Batch statistics that a forward pass changes and that have to be put back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


class Kept:
    """What becomes of the buffers at the end of the block: ``put_back`` may be set to False inside it."""

    put_back = True


@contextlib.contextmanager
def buffers_kept(model: nn.Module) -> Iterator[Kept]:
    """The buffers of ``model`` are after the block what they were before it, unless the block decides otherwise."""
    before = [b.clone() for b in model.buffers()]
    kept = Kept()
    yield kept
    if kept.put_back:
        with torch.no_grad():
            for buffer, old in zip(model.buffers(), before, strict=True):
                buffer.copy_(old)
