"""Training some networks of a model only: the others neither learn nor change their batch statistics."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from mmfa_components.errors import TrainingError, did_you_mean


def freeze_all_but(model: nn.Module, trained: Sequence[str]) -> None:
    """Leave only what lies under the names ``trained`` (``part`` or ``part.layer``) to be trained; all of it when there are none.

    Raises TrainingError for a name under which there is nothing to train.
    """
    if not trained:
        return
    names = [name for name, _ in model.named_parameters()]
    for wanted in trained:
        if not any(_under(name, (wanted,)) for name in names):
            parts = [name for name, part in model.named_children() if any(True for _ in part.parameters())]
            raise TrainingError(f"nothing to train is called {wanted!r}", where="model.trained", fix=did_you_mean(wanted, parts))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(_under(name, trained))
    for name, module in model.named_modules():
        if not any(True for _ in module.children()) and not _under(name, trained):
            module.eval()


def _under(name: str, parts: Sequence[str]) -> bool:
    return any(name == part or name.startswith(part + ".") for part in parts)
