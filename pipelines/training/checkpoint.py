"""Checkpoints of the trainer, and weights files made from them."""

from __future__ import annotations

import os
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor, nn

from mmfa_components.errors import OutputError, TrainingError, reason_of
from mmfa_components.weights import write_weights


def half(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Floating tensors as fp16, others as they are, all contiguous on the CPU."""
    return {k: (v.detach().half() if v.is_floating_point() else v.detach()).cpu().contiguous().clone() for k, v in tensors.items()}


def save_weights(path: Path, module: nn.Module, architecture: str, facts: dict[str, str]) -> None:
    """Write a module's tensors as an fp16 weights file; atomic. Raises OutputError.

    facts: its metadata, beside the architecture.
    """
    write_weights(path, half(module.state_dict()), {"architecture": architecture, **facts})


def save_checkpoint(path: Path, state: dict[str, object]) -> None:
    """Write everything needed to go on; atomic. Raises OutputError.

    The checkpoint before stays until this one is whole.
    """
    partial = path.with_suffix(".part")
    try:
        torch.save(state, partial)
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:  # torch tells of a full disk by a RuntimeError
        partial.unlink(missing_ok=True)
        what = f"the checkpoint cannot be written ({reason_of(error)})"
        fix = "free space there and run the same command again: it goes on from the checkpoint before"
        raise OutputError(what, where=str(path), fix=fix) from error


def load_checkpoint(path: Path, device: torch.device) -> dict[str, object]:
    """Read what :func:`save_checkpoint` wrote, tensors and plain values only.

    Raises TrainingError when it is damaged.
    """
    try:
        state: dict[str, object] = torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, UnpicklingError) as error:
        what = f"the checkpoint cannot be read ({type(error).__name__})"
        fix = "remove it to start anew, or put an older one in its place"
        raise TrainingError(what, where=str(path), fix=fix) from error
    return state
