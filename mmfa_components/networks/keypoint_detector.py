"""Canonical keypoint detector: 2D encoder, 3D decoder, soft-argmax (paper section 3.2 and A.1, after face-vid2vid)."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmfa_components.geometry.grid import grid_points
from mmfa_components.networks.blocks import ConvBlock, DownBlock, UpBlock, conv
from mmfa_components.networks.presets import Sizes


def soft_argmax(logits: Tensor, temperature: float) -> Tensor:
    """Expected position of each heat map.

    Args:
        logits: (N, K, D, H, W), any range.
        temperature: > 0; lower is sharper.

    Returns:
        (N, K, 3) points x, y, z in [-1, 1]. Differentiable.
    """
    weights = (logits.float().flatten(2) / temperature).softmax(-1)  # (N, K, D*H*W)
    grid = grid_points(tuple(logits.shape[2:]), logits.device).flatten(0, 2)  # (D*H*W, 3)
    return torch.stack([(weights * axis).sum(-1) for axis in grid.unbind(1)], -1)  # sums, not a product: exact under autocast


class KeypointDetector(nn.Module):
    """x_c of an image: (N, 3, S, S) in [0, 1] -> (N, K, 3) in [-1, 1], pose and expression removed."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        widths = sizes.keypoint_channels
        self.stem = ConvBlock(2, 3, widths[0])
        self.encoder = nn.Sequential(*[DownBlock(2, a, b) for a, b in itertools.pairwise(widths)])
        self.lift = nn.Conv2d(widths[-1], sizes.keypoint_volume * sizes.keypoint_depth, 1)
        ups = (sizes.keypoint_volume, *sizes.keypoint_ups)
        self.decoder = nn.Sequential(*[UpBlock(3, a, b) for a, b in itertools.pairwise(ups)])
        self.heat = conv(3, ups[-1], sizes.keypoints)

    def forward(self, image: Tensor) -> Tensor:
        """Detect the canonical keypoints."""
        side = self.sizes.keypoint_side
        x = functional.interpolate(image, (side, side), mode="bilinear", antialias=True, align_corners=False)
        x = self.lift(self.encoder(self.stem(x)))  # (N, C*D, h, w)
        x = x.unflatten(1, (self.sizes.keypoint_volume, self.sizes.keypoint_depth))  # (N, C, D, h, w)
        return soft_argmax(self.heat(self.decoder(x)), self.sizes.keypoint_temperature)


