"""Keypoint detector in 3D: 2D encoder, 3D decoder, soft-argmax (after face-vid2vid)."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmfa_components.geometry.grid import grid_points
from mmfa_components.networks.blocks import ConvBlock, DownBlock, UpBlock, conv


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
    # sums, not a product: exact under autocast
    return torch.stack([(weights * axis).sum(-1) for axis in grid.unbind(1)], -1)


class KeypointDetector(nn.Module):
    """(N, 3, S, S) in [0, 1] -> keypoints (N, K, 3) in [-1, 1].

    In MMFA and face-vid2vid these are the canonical keypoints x_c, without pose and expression
    (MMFA section 3.2 and A.1).

    Args:
        keypoints: K.
        widths: channels of the 2D encoder, from fine to coarse.
        channels, depth: of the volume that the encoder's last features are lifted to.
        ups: channels of the 3D decoder, one for each doubling of H and W.
        side: the image is resized to this side first.
        temperature: of the soft-argmax.
    """

    def __init__(
        self,
        keypoints: int,
        widths: tuple[int, ...],
        channels: int,
        depth: int,
        ups: tuple[int, ...],
        side: int = 64,
        temperature: float = 0.1,
    ) -> None:
        super().__init__()
        self.channels, self.depth, self.side, self.temperature = channels, depth, side, temperature
        self.stem = ConvBlock(2, 3, widths[0])
        self.encoder = nn.Sequential(*[DownBlock(2, a, b) for a, b in itertools.pairwise(widths)])
        self.lift = nn.Conv2d(widths[-1], channels * depth, 1)
        steps = itertools.pairwise((channels, *ups))
        self.decoder = nn.Sequential(*[UpBlock(3, a, b) for a, b in steps])
        self.heat = conv(3, (channels, *ups)[-1], keypoints)

    def forward(self, image: Tensor) -> Tensor:
        """Detect the keypoints."""
        size = (self.side, self.side)
        x = functional.interpolate(image, size, mode="bilinear", antialias=True, align_corners=False)
        x = self.lift(self.encoder(self.stem(x)))  # (N, C*D, h, w)
        x = x.unflatten(1, (self.channels, self.depth))  # (N, C, D, h, w)
        return soft_argmax(self.heat(self.decoder(x)), self.temperature)
