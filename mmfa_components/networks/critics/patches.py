"""Patch discriminator that also returns its features, for LSGAN and feature matching (A.2)."""

from __future__ import annotations

import itertools

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm


class PatchDiscriminator(nn.Module):
    """(N, 3, S, S) in [0, 1] -> scores (N, 1, s, s), unbounded, and its intermediate features.

    Args:
        widths: channels from fine to coarse; the first three layers halve the sides.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(a, b, 4, stride=2 if step < 3 else 1, padding=1)) for step, (a, b) in enumerate(itertools.pairwise((3, *widths)))
        )
        self.score = spectral_norm(nn.Conv2d(widths[-1], 1, 4, padding=1))

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Judge images."""
        x, features = image * 2 - 1, []
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), 0.2)
            features.append(x)
        return self.score(x).float(), features
