"""Priors on keypoints and deformation (paper A.2: L_L, L_delta)."""

from __future__ import annotations

import torch
from torch import Tensor


def keypoint_prior_loss(points: Tensor, depth: float = 0.0, threshold: float = 0.1, led: int = 0) -> Tensor:
    """Keypoints must not crowd, and their mean depth is fixed.

    ``sum over i != j of max(0, threshold - |x_i - x_j|^2) + |mean z - depth|``, mean over images. points: (N, K, 3).
    ``depth`` is 0 after Assumption 1 (the centroid is the origin); face-vid2vid uses 0.33.
    led: so many first keypoints stand on landmarks (losses.guide) and may be as near to one another as lips and lids are; with them in,
    the prior is three times as strong as the guide and no mouth can close.
    """
    squared = (points[:, :, None] - points[:, None]).square().sum(-1)  # (N, K, K)
    near = (threshold - squared).clamp_min(0)
    others = ~torch.eye(points.shape[1], dtype=torch.bool, device=points.device)
    others[:led, :led] = False
    return (near * others).sum((1, 2)).mean() + (points[..., 2].mean(1) - depth).abs().mean()


def deformation_prior_loss(delta: Tensor) -> Tensor:
    """Mean absolute deformation over images, keypoints and coordinates (the mean, not the sum). delta: (N, K, 3)."""
    return delta.abs().mean()
