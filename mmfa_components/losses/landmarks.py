"""2D landmark loss (paper eq. 9): 145 points with pupils in three weighted parts, detected differentiably on both images."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from mmfa_components.geometry.mesh_points import EYES, MOUTH, REST

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
