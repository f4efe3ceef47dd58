"""Matrices applied to points by plain sums of products: exact in float32 even under autocast, unlike a matrix product."""

from __future__ import annotations

from torch import Tensor


def apply_matrix(matrix: Tensor, points: Tensor) -> Tensor:
    """``M p`` for every point: matrix (N, E, D), points (N, P, D) -> (N, P, E)."""
    return (matrix[:, None] * points[:, :, None, :]).sum(-1)


def apply_affine(matrix: Tensor, points: Tensor) -> Tensor:
    """``A p + b`` for every point: matrix (N, E, D + 1) holding A and b, points (N, P, D) -> (N, P, E)."""
    return apply_matrix(matrix[..., :-1], points) + matrix[:, None, :, -1]
