"""Checkpoints of the trainer, and weights files made from them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from pickle import UnpicklingError

import attrs
import torch
from torch import Tensor, nn

from mmfa_components.errors import OutputError, TrainingError, reason_of
from mmfa_components.weights import write_weights
from plugins.mmfa.model import MMFAModel
from plugins.mmfa.presets import preset_of


def half(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Floating tensors as fp16, others as they are, all contiguous on the CPU."""
    return {
        k: (v.detach().half() if v.is_floating_point() else v.detach()).cpu().contiguous().clone() for k, v in tensors.items()
    }


def save_weights(path: Path, module: nn.Module, name: str, facts: dict[str, str]) -> None:
    """Write a module's tensors as an fp16 weights file whose metadata names the architecture; atomic. Raises OutputError."""
    write_weights(path, half(module.state_dict()), {"architecture": name, **facts})


def save_model(path: Path, model: MMFAModel, facts: dict[str, str]) -> None:
    """Write the weights file of a whole model. Raises OutputError."""
    sizes = json.dumps(attrs.asdict(model.sizes), sort_keys=True)
    architecture = preset_of(model.sizes).weights["animator"].architecture
    save_weights(path, model, architecture, {"sizes": sizes, **facts})


def save_checkpoint(path: Path, state: dict[str, object]) -> None:
    """Write everything needed to go on; atomic: the checkpoint before stays until this one is whole. Raises OutputError."""
    partial = path.with_suffix(".part")
    try:
        torch.save(state, partial)
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:  # torch tells of a full disk by a RuntimeError
        partial.unlink(missing_ok=True)
        fix = "free space there and run the same command again: it goes on from the checkpoint before"
        raise OutputError(f"the checkpoint cannot be written ({reason_of(error)})", where=str(path), fix=fix) from error


def load_checkpoint(path: Path, device: torch.device) -> dict[str, object]:
    """Read what :func:`save_checkpoint` wrote (tensors and plain values only). Raises TrainingError when it is damaged."""
    try:
        state: dict[str, object] = torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, UnpicklingError) as error:
        fix = "remove it to start anew, or put an older one in its place"
        raise TrainingError(f"the checkpoint cannot be read ({type(error).__name__})", where=str(path), fix=fix) from error
    return state
