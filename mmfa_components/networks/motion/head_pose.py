"""Head pose and expression estimator of face-vid2vid (section 3.1): angles by classification."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmfa_components.geometry.rotations import euler_to_matrix
from mmfa_components.networks.blocks import ConvBlock, bottleneck_stages

BINS, WIDTH, LOWEST = 66, 3.0, -99.0
"""Of HopeNet: classes of an angle, degrees of each, and the lowest."""


def expected_degrees(logits: Tensor) -> Tensor:
    """Angles (...) in degrees of logits (..., 66): the expectation over the bins."""
    index = torch.arange(BINS, device=logits.device, dtype=torch.float32)
    return (logits.float().softmax(-1) * index).sum(-1) * WIDTH + LOWEST


class HeadPoseEstimator(nn.Module):
    """(N, 3, S, S) in [0, 1] -> angles (N, 3), translation (N, 3), deformation (N, K, 3).

    Angles are yaw, pitch, roll in degrees, by 66 classes each. Untrained, translation and
    deformation are about 0.

    Args:
        keypoints: K.
        widths: channels from fine to coarse.
        blocks: bottlenecks of each stage.
        side: the image is resized to this side first.
    """

    def __init__(self, keypoints: int, widths: tuple[int, ...], blocks: int = 2, side: int = 256) -> None:
        super().__init__()
        self.side = side
        self.stem = ConvBlock(2, 3, widths[0], kernel=7)
        self.stages = bottleneck_stages(widths, blocks)
        self.angles = nn.Linear(widths[-1], 3 * BINS)
        self.translation = nn.Linear(widths[-1], 3)
        self.deformation = nn.Linear(widths[-1], 3 * keypoints)
        for layer in (self.translation, self.deformation):
            nn.init.normal_(layer.weight, std=1e-3)
            nn.init.zeros_(layer.bias)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Estimate pose and deformation, in float32."""
        size = (self.side, self.side)
        x = functional.interpolate(image, size, mode="bilinear", antialias=True, align_corners=False)
        x = functional.max_pool2d(self.stem(x), 2)
        x = self.stages(x).mean((2, 3))  # (N, C)
        degrees = expected_degrees(self.angles(x).unflatten(1, (3, BINS)))
        deformation = self.deformation(x).float().unflatten(1, (-1, 3))
        return degrees, self.translation(x).float(), deformation


def rotation_of(degrees: Tensor) -> Tensor:
    """Rotations (N, 3, 3) of yaw, pitch, roll (N, 3) in degrees."""
    return euler_to_matrix(*torch.deg2rad(degrees).unbind(1))
