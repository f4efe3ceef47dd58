"""2D landmark loss (paper eq. 9): 145 points with pupils in three weighted parts, detected differentiably on both images."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

MOUTH = (
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409,  # outer lips
    78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415,  # inner lips
)  # fmt: skip
EYES = (
    33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173,  # the person's right eye
    263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398,  # left eye
    *range(468, 478),  # irises with pupils
)  # fmt: skip
REST = (
    46, 53, 52, 65, 55, 70, 63, 105, 66, 107, 276, 283, 282, 295, 285, 300, 293, 334, 296, 336,  # eyebrows
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,  # face oval
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
    168, 6, 195, 4, 1, 98, 327,  # nose
)  # fmt: skip
PARTS: Mapping[str, tuple[int, ...]] = {"mouth": MOUTH, "eyes": EYES, "rest": REST}
PART_WEIGHTS: Mapping[str, float] = {"mouth": 1.0, "eyes": 1.0, "rest": 0.5}


def landmark_loss(
    detect: Callable[[Tensor], Tensor],
    result: Tensor,
    driving: Tensor,
    weights: Mapping[str, float] = PART_WEIGHTS,
) -> Tensor:
    """Eq. 9: ``sum over parts of w_part * mean |P(result) - P(driving)|`` on x and y.

    Args:
        detect: face region (N, 3, S, S) in [0, 1] -> (N, 478, 2 or more) points in pixels of it, differentiable in the image.
        result, driving: (N, 3, S, S) the same region of both images; the driving one gets no gradient.
        weights: weight of each part.

    Returns:
        Scalar, in units of half the region's side.
    """
    with torch.no_grad():
        wanted = detect(driving)[..., :2]
    error = (detect(result)[..., :2] - wanted).abs() / (result.shape[-1] / 2)  # (N, 478, 2)
    parts = [weights[name] * error[:, list(index)].mean() for name, index in PARTS.items()]
    return torch.stack(parts).sum()
