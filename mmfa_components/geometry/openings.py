"""How far mouth and eyes are open, read from the points of the face mesh."""

from __future__ import annotations

import torch
from torch import Tensor


def mouth_opening(points: Tensor) -> Tensor:
    """How far the mouth is open (N,), as a share of the face's height, from face-mesh points (N, P, 3).

    Inner lips are points 13 and 14 of the 468/478-point mesh; any other number of points gives zeros.
    """
    if points.shape[1] not in (468, 478):
        return torch.zeros(len(points), device=points.device, dtype=points.dtype)
    return _gap(points, 13, 14)


def eye_opening(points: Tensor) -> Tensor:
    """How far the eyes are open (N,), mean of both, as a share of the face's height, from face-mesh points (N, 468 or 478, 2 or 3)."""
    return (_gap(points, 159, 145) + _gap(points, 386, 374)) / 2


def openings(points: Tensor) -> Tensor:
    """How far mouth and eyes are open (N, 2), as shares of the face's height, from face-mesh points (N, 468 or 478, 2 or 3)."""
    return torch.stack([mouth_opening(points), eye_opening(points)], 1)


def _gap(points: Tensor, upper: int, lower: int) -> Tensor:
    height = points[..., 1].amax(dim=1) - points[..., 1].amin(dim=1)
    gap: Tensor = (points[:, upper] - points[:, lower]).norm(dim=-1) / height.clamp_min(1e-6)
    return gap
