"""Appearance extractor: an image as a volume of features (f_s; paper section 3.2, after face-vid2vid)."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from mmfa_components.networks.blocks import ConvBlock, DownBlock, ResBlock, as_weights_lie
from mmfa_components.networks.presets import Sizes


class AppearanceExtractor(nn.Module):
    """(N, 3, S, S) in [0, 1] -> volume (N, C, D, S/4, S/4)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        widths = sizes.appearance_channels
        self.stem = ConvBlock(2, 3, widths[0], kernel=7)
        self.encoder = nn.Sequential(*[DownBlock(2, a, b) for a, b in itertools.pairwise(widths)])
        self.lift = nn.Conv2d(widths[-1], sizes.volume_channels * sizes.volume_depth, 1)
        self.blocks = nn.Sequential(*[ResBlock(3, sizes.volume_channels) for _ in range(sizes.appearance_blocks)])

    def forward(self, image: Tensor) -> Tensor:
        """Extract the volume."""
        x = self.lift(self.encoder(self.stem(image)))  # (N, C*D, H, W)
        lifted = x.unflatten(1, (self.sizes.volume_channels, self.sizes.volume_depth))
        volume: Tensor = self.blocks(as_weights_lie(lifted, self.blocks))
        return volume
