"""Patch discriminator that also returns its features, for LSGAN and feature matching (paper A.2)."""

from __future__ import annotations

import itertools

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from mmfa_components.networks.presets import Sizes


class Discriminator(nn.Module):
    """(N, 3, S, S) in [0, 1] -> scores (N, 1, s, s), unbounded, and the list of intermediate features."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        widths = (3, *sizes.discriminator_channels)
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(a, b, 4, stride=2 if step < 3 else 1, padding=1))
            for step, (a, b) in enumerate(itertools.pairwise(widths))
        )
        self.score = spectral_norm(nn.Conv2d(widths[-1], 1, 4, padding=1))

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Judge images."""
        x, features = image * 2 - 1, []
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), 0.2)
            features.append(x)
        return self.score(x).float(), features
