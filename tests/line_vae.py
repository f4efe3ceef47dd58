"""A latent space for the disc system whose one unit is its smile: a standard deviation is a tenth of green."""

from __future__ import annotations

from typing import Any

import torch

from mmfa_components import records as r
from mmfa_components.kinds import ComponentSpec
from mmfa_components.registry import Plugin, Registry

MIDDLE, DEVIATION = 0.45, 0.1


class LineVAE:
    """e <-> (e - MIDDLE) / DEVIATION."""

    def __init__(self, options: Any, context: Any) -> None:
        pass

    def encode(self, expression: r.Expression) -> r.Latent:
        """The mean is exact."""
        if expression.feature.shape[1] != 1:
            raise ValueError("a smile is one number")
        mean = (expression.feature - MIDDLE) / DEVIATION
        return r.Latent(mean, torch.zeros_like(mean))

    def decode(self, latent: torch.Tensor) -> r.Expression:
        """The inverse."""
        return r.Expression(latent * DEVIATION + MIDDLE)


def with_line_vae(registry: Registry) -> Registry:
    """Add ``expression_vae/line``."""
    spec = ComponentSpec("expression_vae", "line", LineVAE, (r.Expression,), (r.Latent,))
    registry.add(Plugin("line", "tests", "1", "line_vae", (spec,)))
    return registry
