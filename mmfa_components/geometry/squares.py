"""Rotated squares in images: where a face is, cutting it out differentiably, and mapping points in and out.

A square is (centre x, centre y, side, clockwise angle in radians) in pixels; pixel i covers [i, i + 1).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from mmfa_components.geometry.apply import apply_matrix
from mmfa_components.geometry.grid import grid_points

RIGHT_EYE, LEFT_EYE = 33, 263  # outer eye corners in the 478-point mesh (the person's right and left)
MOST_SAMPLES = 8  # per axis and output pixel, when shrinking


def _turn(angle: Tensor) -> Tensor:
    """Rotations (N, 2, 2) of the image plane, clockwise as seen."""
    return torch.stack([torch.stack([angle.cos(), -angle.sin()], -1), torch.stack([angle.sin(), angle.cos()], -1)], -2)


def region_of_detection(points: Tensor, scale: float = 3.7) -> Tensor:
    """Squares (M, 4) for the landmark network from a face detector's six points.

    points: (M, 6, 2) right eye, left eye, nose tip, mouth, right ear, left ear in pixels.  scale: side of the square over the
    larger of eye distance and eye-to-mouth distance; the default holds the whole face with a quarter of its size around it.
    """
    right, left, nose, mouth = points[:, 0], points[:, 1], points[:, 2], points[:, 3]
    across = left - right
    eyes = (left + right) / 2
    size = torch.maximum(across.norm(dim=1), (mouth - eyes).norm(dim=1))
    angle = torch.atan2(across[:, 1], across[:, 0])
    centre = (eyes + nose + mouth) / 3
    return torch.cat([centre, (scale * size)[:, None], angle[:, None]], 1)


def square_of_landmarks(points: Tensor, ratio: float) -> Tensor:
    """Squares (N, 4) around face-mesh landmarks, turned so that the eyes lie level.

    points: (N, P, 2 or 3) in pixels, P > 263.  ratio: longer side of the landmarks' box (in the turned frame) over the square's side.
    """
    flat = points[..., :2]
    across = flat[:, LEFT_EYE] - flat[:, RIGHT_EYE]
    angle = torch.atan2(across[:, 1], across[:, 0])
    level = apply_matrix(_turn(-angle), flat)  # (N, P, 2)
    low, high = level.amin(1), level.amax(1)
    centre = apply_matrix(_turn(angle), ((low + high) / 2)[:, None])[:, 0]
    return torch.cat([centre, ((high - low).amax(1) / ratio)[:, None], angle[:, None]], 1)


def crop_squares(rgb: Tensor, squares: Tensor, size: int, padding: str = "border") -> Tensor:
    """Cut squares out of images by bilinear sampling. Differentiable in the image.

    Args:
        rgb: (N, C, H, W) float.
        squares: (N, 4) in pixels.
        padding: what is outside of the image: "border" repeats edge pixels, "reflection" mirrors the image.
        size: side of the crops in pixels. When a square is larger than that, several samples are averaged per pixel (anti-aliasing).

    Returns:
        (N, C, size, size).
    """
    height, width = rgb.shape[-2:]
    if len(rgb) == 0:
        return rgb.new_zeros(0, rgb.shape[1], size, size)
    samples = min(MOST_SAMPLES, max(1, math.ceil(float(squares[:, 2].max()) / size - 0.01)))
    extent = torch.tensor([width, height], device=rgb.device, dtype=rgb.dtype)
    # Per image: sampling coordinates in [-1, 1] = matrix (2, 2) times places in (-0.5, 0.5) + centre.
    matrix = (_turn(squares[:, 3]) * (2 * squares[:, 2, None, None] / extent[:, None])).to(rgb)
    centre = (2 * squares[:, :2] / extent - 1).to(rgb)
    places = grid_points((size,), rgb.device, rgb.dtype)[:, 0] / 2  # (size,)
    shifts = (grid_points((samples,), rgb.device, rgb.dtype)[:, 0] / (2 * size)).tolist()
    total: Tensor | None = None
    for down in shifts:
        rows = matrix[:, :, 1, None] * (places + down) + centre[..., None]  # (N, 2, size)
        for right in shifts:
            columns = matrix[:, :, 0, None] * (places + right)
            where = (rows[..., None] + columns[:, :, None]).permute(0, 2, 3, 1)
            part = functional.grid_sample(rgb, where, padding_mode=padding, align_corners=False)
            total = part if total is None else total + part
    assert total is not None
    return total / samples**2


def to_crop(points: Tensor, squares: Tensor, size: int) -> Tensor:
    """Points (N, P, 2 or 3) of images in pixels of their crops; z is scaled alike."""
    factor = (size / squares[:, 2])[:, None, None]
    flat = apply_matrix(_turn(-squares[:, 3]), points[..., :2] - squares[:, None, :2]) * factor + size / 2
    return torch.cat([flat, points[..., 2:] * factor], -1)


def from_crop(points: Tensor, squares: Tensor, size: int) -> Tensor:
    """The inverse of :func:`to_crop`."""
    factor = (squares[:, 2] / size)[:, None, None]
    flat = apply_matrix(_turn(squares[:, 3]), (points[..., :2] - size / 2) * factor) + squares[:, None, :2]
    return torch.cat([flat, points[..., 2:] * factor], -1)
