"""Landmark guidance of keypoints (after LivePortrait's L_guide): the first keypoints stand on landmarks of mouth, eyes and brows.

Not in the paper, whose keypoints are found without any guidance; off (weight 0) reproduces it. It leads the deformation to what
expressions move long before images are good enough for the landmark loss of eq. 9 to do so.
"""

from __future__ import annotations

import torch
from torch import Tensor

GUIDE = (61, 291, 13, 14, 0, 17, 159, 145, 386, 374, 468, 473, 105, 334)
"""Mesh points: mouth corners, inner and outer lips (middle), upper and lower lids and pupil of each eye, brows; the person's right first."""
GUIDE_MIRROR = (1, 0, 2, 3, 4, 5, 8, 9, 6, 7, 11, 10, 13, 12)
"""Which of them each becomes in a mirrored image."""


def mirror_guide(points: Tensor, side: float) -> Tensor:
    """The guide's landmarks (N, G, 2), in pixels, of the mirrored images of width ``side``."""
    swapped = points[:, list(GUIDE_MIRROR)]
    return torch.stack([side - swapped[..., 0], swapped[..., 1]], -1)


def guide_loss(points: Tensor, landmarks: Tensor) -> Tensor:
    """``mean |x - l|`` on x and y between the first keypoints and their landmarks, as many as there are of both.

    points: (N, K, 3) posed keypoints.  landmarks: (N, G, 2), both in [-1, 1] over the crop; landmarks get no gradient.
    """
    count = min(points.shape[1], landmarks.shape[1])
    return (points[:, :count, :2] - landmarks[:, :count].detach()).abs().mean()
