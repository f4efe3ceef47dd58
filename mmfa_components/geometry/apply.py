"""Matrices applied to points by plain sums of products: exact in float32 even under autocast, unlike a matrix product."""

from __future__ import annotations

from torch import Tensor


def apply_matrix(matrix: Tensor, points: Tensor) -> Tensor:
    """``M p`` for every point: matrix (N, E, D), points (N, P, D) -> (N, P, E)."""
    rows = points.transpose(1, 2)  # (N, D, P): long rows are ten times as fast as many short sums
    total = matrix[:, :, 0, None] * rows[:, None, 0]  # (N, E, P)
    for column in range(1, points.shape[-1]):
        total = total + matrix[:, :, column, None] * rows[:, None, column]
    return total.transpose(1, 2)


def apply_affine(matrix: Tensor, points: Tensor) -> Tensor:
    """``A p + b`` for every point: matrix (N, E, D + 1) holding A and b, points (N, P, D) -> (N, P, E)."""
    return apply_matrix(matrix[..., :-1], points) + matrix[:, None, :, -1]
