"""Affine estimator: scale and translation of scaled orthographic projection (paper section 3.2: s, t)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmfa_components.networks.blocks import ConvBlock, bottleneck_stages
from mmfa_components.networks.presets import Sizes


class AffineEstimator(nn.Module):
    """(N, 3, S, S) in [0, 1] -> scale (N,) in (0.2, 5) and translation (N, 3); both start at 1 and 0."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.side = sizes.affine_side
        widths = sizes.affine_channels
        self.stem = ConvBlock(2, 3, widths[0], kernel=7)
        self.stages = bottleneck_stages(widths, sizes.affine_blocks)
        self.keeps_places = sizes.affine_head == "grid"
        cells = (sizes.affine_side // 2 ** len(widths)) ** 2 if self.keeps_places else 1
        self.head = nn.Linear(widths[-1] * cells, 4)
        nn.init.normal_(self.head.weight, std=1e-3)
        nn.init.zeros_(self.head.bias)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Estimate (scale, translation)."""
        x = functional.interpolate(image, (self.side, self.side), mode="bilinear", antialias=True, align_corners=False)
        x = functional.max_pool2d(self.stem(x), 2)
        x = self.stages(x)  # (N, C, side, side)
        head = self.head(x.flatten(1) if self.keeps_places else x.mean((2, 3))).float()  # (N, 4)
        limit = 1.609  # log 5
        return torch.exp(limit * torch.tanh(head[:, 0] / limit)), head[:, 1:]
