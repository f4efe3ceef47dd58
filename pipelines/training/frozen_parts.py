"""What of a model is not trained.

Networks that were not named, which do not change their batch statistics either, and biases without
effect.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from mmfa_components.errors import TrainingError, did_you_mean
from mmfa_components.networks.norms import idle_biases


def freeze_all_but(model: nn.Module, trained: Sequence[str]) -> None:
    """Leave only what lies under the names ``trained`` to be trained; all of it without any.

    A name is ``part`` or ``part.layer``.
    Biases that a batch norm takes away again are never trained (``networks.norms.conv_norm``).
    Raises TrainingError for a name under which there is nothing to train.
    """
    if trained:
        _freeze_others(model, trained)
    for bias in idle_biases(model):
        bias.requires_grad_(False)


def freeze_norms(model: nn.Module) -> None:
    """Let every batch norm use its running statistics and keep them, as in use.

    Its weight and bias are still trained.
    """
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):  # the only name all of them share
            module.eval()


def _freeze_others(model: nn.Module, trained: Sequence[str]) -> None:
    names = [name for name, _ in model.named_parameters()]
    for wanted in trained:
        if not any(_under(name, (wanted,)) for name in names):
            parts = [name for name, part in model.named_children() if any(True for _ in part.parameters())]
            raise TrainingError(
                f"nothing to train is called {wanted!r}",
                where="model.trained",
                fix=did_you_mean(wanted, parts),
            )
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(_under(name, trained))
    for name, module in model.named_modules():
        if not any(True for _ in module.children()) and not _under(name, trained):
            module.eval()


def _under(name: str, parts: Sequence[str]) -> bool:
    return any(name == part or name.startswith(part + ".") for part in parts)
