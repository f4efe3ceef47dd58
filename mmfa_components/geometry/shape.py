"""The face's shape without its pose: what expressions change, as the points of mouth, eyes, brows and cheeks say it."""

from __future__ import annotations

import torch
from torch import Tensor

from mmfa_components.geometry.mesh_points import EYES, MOUTH, REST

BROWS = REST[:20]
CHEEKS = (152, 148, 377, 176, 400, 98, 327, 205, 425, 50, 280, 4, 1)  # chin, wings of the nose, cheeks, tip of the nose
PUPILS = (468, 473)
SHAPE_POINTS = (*MOUTH, *(point for point in EYES if point < PUPILS[0]), *BROWS, *CHEEKS, *PUPILS)
"""The mesh points of a shape, 107 of them."""
SHAPE_MIRROR = (
    10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 19, 18, 17, 16, 15, 14, 13, 12, 11, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 39, 38, 37, 36, 35, 34,
    33, 32, 31, *range(56, 72), *range(40, 56), *range(82, 92), *range(72, 82), 92, 94, 93, 96, 95, 98, 97, 100, 99, 102, 101, 103, 104, 106, 105,
)  # fmt: skip
"""Which of them each becomes in a mirrored face."""


def shape_of(frontal: Tensor) -> Tensor:
    """Shapes (N, 107, 3) of mesh points without pose (N, 478, 3) as LandmarkRotation.frontal gives them, in its units (about centimetres)."""
    return frontal[:, list(SHAPE_POINTS)]


def mirror_shape(shape: Tensor) -> Tensor:
    """Shapes (N, 107, 3) of the mirrored faces."""
    return shape[:, list(SHAPE_MIRROR)] * torch.tensor([-1.0, 1.0, 1.0], device=shape.device)
