"""The generator of FOMM and its relatives: features of the source, warped and masked, decoded."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmfa_components.networks.blocks import ConvBlock, DownBlock, ResBlock, UpBlock


class OcclusionAwareGenerator(nn.Module):
    """Source image, flow and occlusion -> image of the same side, in [0, 1].

    Args:
        widths: channels from fine to coarse; every step halves the side.
        blocks: residual blocks at the coarsest size.
        channels: of the images.
    """

    def __init__(self, widths: tuple[int, ...], blocks: int, channels: int = 3) -> None:
        super().__init__()
        steps = list(itertools.pairwise(widths))
        self.first = ConvBlock(2, channels, widths[0], kernel=7)
        self.down = nn.ModuleList(DownBlock(2, a, b) for a, b in steps)
        self.bottleneck = nn.Sequential(*[ResBlock(2, widths[-1]) for _ in range(blocks)])
        self.up = nn.ModuleList(UpBlock(2, b, a) for a, b in reversed(steps))
        self.final = nn.Conv2d(widths[0], channels, 7, padding=3)

    def encode(self, image: Tensor) -> Tensor:
        """Features of source images (N, C, S, S): once for each portrait."""
        x: Tensor = self.first(image)
        for block in self.down:
            x = block(x)
        return x

    def forward(self, features: Tensor, flow: Tensor, occlusion: Tensor) -> Tensor:
        """Generate images (N, C, S, S) in [0, 1], float32.

        features: of ``encode``.  flow: (N, h, w, 2) in [-1, 1].  occlusion: (N, 1, h, w).
        """
        side = features.shape[-2:]
        if flow.shape[1:3] != side:
            moved = functional.interpolate(flow.permute(0, 3, 1, 2), side, mode="bilinear")
            flow = moved.permute(0, 2, 3, 1)
            occlusion = functional.interpolate(occlusion, side, mode="bilinear")
        x = functional.grid_sample(features, flow.to(features.dtype), align_corners=False)
        x = self.bottleneck(x * occlusion.to(x.dtype))
        for block in self.up:
            x = block(x)
        return torch.sigmoid(self.final(x)).float()
