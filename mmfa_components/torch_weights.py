"""Weights files of other projects, as users download them: pickled state dicts (.pkl, .pth, .tar) or safetensors."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mmfa_components.errors import WeightsError
from mmfa_components.kinds import Context
from mmfa_components.weights import load_into

COUNTER = "num_batches_tracked"  # of batch norm; files older than torch 0.4.1 lack it and evaluation does not use it


def read_state_dict(path: Path, fix: str, nested: str = "state_dict") -> dict[str, Tensor]:
    """The tensors of a state dict, on the CPU. Pickles are read with ``weights_only``: nothing in them is executed.

    A dict nested under ``nested`` is taken out and the prefix ``module.`` (of DataParallel) is dropped.

    Args:
        path: ``.safetensors``, else any file of ``torch.save``.
        fix: told to the user when the file is no good.
        nested: key the state dict may lie under.

    Raises:
        WeightsError: the file is missing, truncated, or holds something else than named tensors.
    """
    if not path.is_file():
        raise WeightsError("there is no such weights file", where=str(path), fix=fix)
    try:
        if path.suffix == ".safetensors":
            content: object = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises nearly anything on a damaged file
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsError(f"damaged, truncated or no weights file ({reason})", where=str(path), fix=fix) from error
    if isinstance(content, dict) and isinstance(content.get(nested), dict):
        content = content[nested]
    if not isinstance(content, dict) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise WeightsError(f"holds a {type(content).__name__} instead of named tensors", where=str(path), fix=fix)
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def load_state_dict_file(path: Path, module: nn.Module, fix: str, nested: str = "state_dict") -> None:
    """Load the file into ``module`` exactly (counters of batch norm may be missing).

    Raises:
        WeightsError: see :func:`read_state_dict`; also when names or shapes are those of another architecture.
    """
    tensors = read_state_dict(path, fix, nested)
    counters = {k: v for k, v in module.state_dict().items() if k.endswith(COUNTER)}
    try:
        load_into(module, {**counters, **tensors}, str(path))
    except WeightsError as error:
        raise WeightsError(error.what, where=error.where, fix=fix) from error


def load_fetched(name: str, network: nn.Module, context: Context) -> None:
    """Load weights ``name`` into a network and put it on the device. Raises WeightsError that says how to get a missing file."""
    path = context.weights.path(name)
    if not path.is_file():
        raise WeightsError(f"weights {name} are not there, and none are shipped", where=str(path), fix=f"mmfa plugins fetch {name}")
    context.weights.load(name, network)
    network.eval().requires_grad_(False).to(context.device)
