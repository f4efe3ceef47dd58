"""The U-Net of keypoint-driven animation, in 2D or 3D."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from mmfa_components.networks.blocks import Dims, DownBlock, UpBlock


class Hourglass(nn.Module):
    """U-Net that pools H and W: (N, C, ..., H, W) -> (N, ``channels_out``, ..., H, W).

    Args:
        channels_in: C.
        widths: channels of the encoder, from fine to coarse; the decoder has those of the skips.
        dims: 3 for volumes (N, C, D, H, W), 2 for pictures (N, C, H, W).
        last: channels of the decoder's last block, 0 for C. The input comes beside them, so
            ``channels_out`` is ``last + C``.
    """

    def __init__(self, channels_in: int, widths: tuple[int, ...], dims: Dims = 3, last: int = 0) -> None:
        super().__init__()
        steps = (channels_in, *widths)
        self.down = nn.ModuleList(DownBlock(dims, a, b) for a, b in itertools.pairwise(steps))
        ups: list[nn.Module] = []
        width = steps[-1]
        for skip in reversed(steps[:-1]):
            made = last or skip if len(ups) == len(widths) - 1 else skip
            ups.append(UpBlock(dims, width, made))
            width = made + skip
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
