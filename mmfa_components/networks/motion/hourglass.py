"""The U-Net of keypoint-driven animation, in 3D."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from mmfa_components.networks.blocks import DownBlock, UpBlock


class Hourglass(nn.Module):
    """3D U-Net that pools H and W: (N, C, D, H, W) -> (N, ``channels_out``, D, H, W).

    ``channels_out`` is twice the input's channels.

    Args:
        channels_in: C.
        widths: channels of the encoder, from fine to coarse; the decoder has those of the skips.
    """

    def __init__(self, channels_in: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        steps = (channels_in, *widths)
        self.down = nn.ModuleList(DownBlock(3, a, b) for a, b in itertools.pairwise(steps))
        ups, width = [], steps[-1]
        for skip in reversed(steps[:-1]):
            ups.append(UpBlock(3, width, skip))
            width = 2 * skip
        self.up = nn.ModuleList(ups)
        self.channels_out = width

    def forward(self, x: Tensor) -> Tensor:
        """Apply the U-Net."""
        skips = []
        for block in self.down:
            skips.append(x)
            x = block(x)
        for block in self.up:
            x = torch.cat([block(x), skips.pop()], 1)
        return x
