"""Appearance extractor: an image as a volume of features (after face-vid2vid; paper 3.2: f_s)."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from mmfa_components.networks.blocks import ConvBlock, DownBlock, ResBlock, as_weights_lie


class AppearanceExtractor(nn.Module):
    """(N, 3, S, S) in [0, 1] -> volume (N, C, D, S / s, S / s), s = 2^(widths - 1).

    Args:
        widths: channels of the 2D encoder, from fine to coarse.
        channels, depth: C and D.
        blocks: residual blocks in 3D.
    """

    def __init__(self, widths: tuple[int, ...], channels: int, depth: int, blocks: int) -> None:
        super().__init__()
        self.channels, self.depth = channels, depth
        self.stem = ConvBlock(2, 3, widths[0], kernel=7)
        self.encoder = nn.Sequential(*[DownBlock(2, a, b) for a, b in itertools.pairwise(widths)])
        self.lift = nn.Conv2d(widths[-1], channels * depth, 1)
        self.blocks = nn.Sequential(*[ResBlock(3, channels) for _ in range(blocks)])

    def forward(self, image: Tensor) -> Tensor:
        """Extract the volume."""
        x = self.lift(self.encoder(self.stem(image)))  # (N, C*D, H, W)
        lifted = x.unflatten(1, (self.channels, self.depth))
        volume: Tensor = self.blocks(as_weights_lie(lifted, self.blocks))
        return volume
