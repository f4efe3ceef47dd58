"""Affine estimator: scale and translation of scaled orthographic projection (paper section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmfa_components.networks.blocks import ConvBlock, bottleneck_stages

LIMIT = 1.609
"""Largest log scale, log 5."""


class AffineEstimator(nn.Module):
    """(N, 3, S, S) in [0, 1] -> scale (N,) in (0.2, 5) and translation (N, 3).

    An untrained network gives about 1 and 0.

    Args:
        widths: channels from fine to coarse.
        blocks: bottlenecks of each stage.
        side: the image is resized to this side first.
        keeps_places: the last features go into the linear layer as they lie in the image;
            otherwise they are averaged over it, which forgets places.
    """

    def __init__(self, widths: tuple[int, ...], blocks: int = 1, side: int = 128, keeps_places: bool = False) -> None:
        super().__init__()
        self.side, self.keeps_places = side, keeps_places
        self.stem = ConvBlock(2, 3, widths[0], kernel=7)
        self.stages = bottleneck_stages(widths, blocks)
        cells = (side // 2 ** len(widths)) ** 2 if keeps_places else 1
        self.head = nn.Linear(widths[-1] * cells, 4)
        nn.init.normal_(self.head.weight, std=1e-3)
        nn.init.zeros_(self.head.bias)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Estimate (scale, translation)."""
        size = (self.side, self.side)
        x = functional.interpolate(image, size, mode="bilinear", antialias=True, align_corners=False)
        x = functional.max_pool2d(self.stem(x), 2)
        x = self.stages(x)  # (N, C, side, side)
        head = self.head(x.flatten(1) if self.keeps_places else x.mean((2, 3))).float()  # (N, 4)
        return torch.exp(LIMIT * torch.tanh(head[:, 0] / LIMIT)), head[:, 1:]
