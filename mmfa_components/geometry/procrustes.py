"""Head rotation from landmarks: weighted orthogonal Procrustes against the canonical face."""

from __future__ import annotations

import torch
from torch import Tensor

from mmfa_components.geometry.rotations import nearest_rotation


def procrustes(canonical: Tensor, points: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The similarity that best maps the canonical face onto landmarks: minimises ``sum_i w_i |s R c_i + t - p_i|^2``.

    Args:
        canonical: (P, 3), x right, y down, z towards the viewer.
        points: (N, P, 3) in the same axes.
        weights: (P,) >= 0.

    Returns:
        rotation (N, 3, 3) in SO(3), scale (N,), translation (N, 3). Differentiable wherever the points span three dimensions.
    """
    w = (weights / weights.sum())[:, None]  # (P, 1)
    centre_c, centre_p = (w * canonical).sum(0), (w * points).sum(1, keepdim=True)  # (3,), (N, 1, 3)
    c, p = canonical - centre_c, points - centre_p
    covariance = torch.einsum("npi,pj->nij", w * p, c)  # (N, 3, 3): sum w p c^T
    rotation = nearest_rotation(covariance)
    scale = (rotation * covariance).sum((1, 2)) / (w * c.square()).sum()
    translation = centre_p[:, 0] - scale[:, None] * (rotation @ centre_c)
    return rotation, scale, translation
