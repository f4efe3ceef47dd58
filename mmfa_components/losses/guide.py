"""Guidance by landmarks, not in the paper, whose parts are found without any; off (weight 0) reproduces it.

Keypoints (after LivePortrait's L_guide): the first of them stand on landmarks of mouth, eyes and brows, which leads the deformation to
what expressions move long before images are good enough for the landmark loss of eq. 9 to do so. Place: scale and translation are
those of the canonical face fitted to the landmarks, as the rotation is; what they leave over, the deformation takes as expression.
"""

from __future__ import annotations

import torch
from torch import Tensor

GUIDE = (61, 291, 13, 14, 0, 17, 159, 145, 386, 374, 468, 473, 105, 334)
"""Mesh points: mouth corners, inner and outer lips (middle), upper and lower lids and pupil of each eye, brows; the person's right first."""
GUIDE_MIRROR = (1, 0, 2, 3, 4, 5, 8, 9, 6, 7, 11, 10, 13, 12)
"""Which of them each becomes in a mirrored image."""


GUIDE_GAPS = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))
"""Pairs of them whose distance is what expressions change: mouth corners, inner and outer lips, lids of each eye."""
CANONICAL_UNITS = 10.0
"""Units of the canonical face (about centimetres) that make one unit of canonical keypoints: scales are near 1 for a face that fills the crop."""


def mirror_guide(points: Tensor, side: float) -> Tensor:
    """The guide's landmarks (N, G, 2), in pixels, of the mirrored images of width ``side``."""
    swapped = points[:, list(GUIDE_MIRROR)]
    return torch.stack([side - swapped[..., 0], swapped[..., 1]], -1)


def guide_loss(points: Tensor, landmarks: Tensor) -> Tensor:
    """``mean |x - l| + mean |(x_i - x_j) - (l_i - l_j)|`` on x and y between the first keypoints and their landmarks, as many as there are
    of both; i, j run over GUIDE_GAPS. Places alone say little about lips and lids: a face that is 5 pixels off drowns a closing eye.

    points: (N, K, 3) posed keypoints.  landmarks: (N, G, 2), both in [-1, 1] over the crop; landmarks get no gradient.
    """
    count = min(points.shape[1], landmarks.shape[1])
    off = points[:, :count, :2] - landmarks[:, :count].detach()
    gaps = [off[:, i] - off[:, j] for i, j in GUIDE_GAPS if max(i, j) < count]
    return off.abs().mean() + (torch.stack(gaps).abs().mean() if gaps else 0.0)


def place_loss(scale: Tensor, translation: Tensor, place: Tensor) -> Tensor:
    """``mean |log s - log s'| + mean |t - t'|`` on x and y between estimated scale and translation and those of the canonical face.

    scale: (N,) > 0.  translation: (N, 3).  place: (N, 3) x, y in [-1, 1] over the crop and log scale (see CANONICAL_UNITS); no gradient.
    """
    wanted = place.detach()
    return (translation[:, :2] - wanted[:, :2]).abs().mean() + (scale.log() - wanted[:, 2]).abs().mean()
