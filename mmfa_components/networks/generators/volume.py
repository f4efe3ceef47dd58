"""The generator of face-vid2vid: a warped volume, flattened and decoded."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmfa_components.networks.blocks import ConvBlock, ResBlock, UpBlock


class VolumeGenerator(nn.Module):
    """Volume (N, C, D, H, W), flow (N, D, H, W, 3), occlusion (N, 1, H, W) -> image in [0, 1].

    Args:
        channels, depth: C and D.
        widths: from coarse to fine; every step doubles the side.
        blocks: residual blocks at the coarsest size.
    """

    def __init__(self, channels: int, depth: int, widths: tuple[int, ...], blocks: int) -> None:
        super().__init__()
        self.flatten = ConvBlock(2, channels * depth, widths[0])
        self.mix = nn.Conv2d(widths[0], widths[0], 1)
        self.blocks = nn.Sequential(*[ResBlock(2, widths[0]) for _ in range(blocks)])
        self.up = nn.Sequential(*[UpBlock(2, a, b) for a, b in itertools.pairwise(widths)])
        self.final = nn.Conv2d(widths[-1], 3, 7, padding=3)

    def forward(self, volume: Tensor, flow: Tensor, occlusion: Tensor) -> Tensor:
        """Generate images (N, 3, S, S), float32."""
        warped = functional.grid_sample(volume, flow.to(volume.dtype), align_corners=False)
        x = self.mix(self.flatten(warped.flatten(1, 2))) * occlusion.to(warped.dtype)
        return torch.sigmoid(self.final(self.up(self.blocks(x)))).float()
