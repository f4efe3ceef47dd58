"""Sparse motion of keypoints: what moves around each of them, and where they are (paper eq. 1)."""

from __future__ import annotations

import torch
from torch import Tensor

from mmfa_components.geometry.apply import apply_matrix
from mmfa_components.geometry.grid import grid_points


def relative_jacobian(source_frame: Tensor, driving_frame: Tensor) -> Tensor:
    """``J_s J_d^-1`` (N, 3, 3) of frames ``s R`` (N, 3, 3) (eq. 1).

    The inverse of ``s R`` is its transpose over s squared.
    """
    squared = driving_frame.square().sum((1, 2), keepdim=True) / 3  # s^2: (N, 1, 1)
    return apply_matrix(driving_frame, source_frame) / squared  # rows of J_s through J_d: J_s J_d^T


def sparse_motions(source: Tensor, driving: Tensor, jacobian: Tensor, size: tuple[int, int, int]) -> Tensor:
    """Backward motion around each keypoint and of the background (eq. 1).

    ``w_k(p) = x_s,k + J (p - x_d,k)``; the background stays, ``w_0(p) = p``.

    Args:
        source, driving: (N, K, 3) keypoints.
        jacobian: (N, 3, 3), ``J = J_s J_d^-1``; of rigid heads ``s_s R_s (s_d R_d)^-1``, the same
            for all keypoints.
        size: (D, H, W) of the grid.

    Returns:
        (N, K + 1, D, H, W, 3) positions in the source, background first.
    """
    n, k, _ = source.shape
    grid = grid_points(size, source.device)  # (D, H, W, 3)
    turned = apply_matrix(jacobian, grid.view(1, -1, 3))  # (N, D*H*W, 3)
    offset = source - apply_matrix(jacobian, driving)  # (N, K, 3)
    moved = turned[:, None] + offset[:, :, None]  # (N, K, D*H*W, 3)
    background = grid.view(1, 1, -1, 3).expand(n, 1, -1, -1)
    return torch.cat([background, moved], 1).view(n, k + 1, *size, 3)


def local_motions(source: Tensor, driving: Tensor, jacobians: Tensor, size: tuple[int, int]) -> Tensor:
    """Backward motion around each keypoint, which has a Jacobian of its own, and of the background.

    ``w_k(z) = p_s,k + J_k (z - p_d,k)`` (FOMM, eq. 4); the background stays, ``w_0(z) = z``.

    Args:
        source, driving: (N, K, 2) keypoints.
        jacobians: (N, K, 2, 2), ``J_k = J_s,k J_d,k^-1``.
        size: (H, W) of the grid.

    Returns:
        (N, K + 1, H, W, 2) positions in the source, background first.
    """
    n, k, _ = source.shape
    grid = grid_points(size, source.device).view(1, -1, 2)  # (1, H*W, 2)
    away = grid[:, None] - driving[:, :, None]  # (N, K, H*W, 2)
    turned = apply_matrix(jacobians.flatten(0, 1), away.flatten(0, 1)).view(n, k, -1, 2)
    background = grid[:, None].expand(n, 1, -1, -1)
    moved = torch.cat([background, source[:, :, None] + turned], 1)
    return moved.view(n, k + 1, *size, 2)


def heat_maps(points: Tensor, size: tuple[int, ...], variance: float) -> Tensor:
    """Gaussian heat maps (N, K, *size) in (0, 1] of points (N, K, len(size)), separable per axis.

    size: (D, H, W) for points x, y, z, or (H, W) for points x, y.
    """
    out: Tensor | None = None
    last = len(size) - 1
    for axis, count in zip(range(last, -1, -1), size, strict=True):  # z over D, y over H, x over W
        centres = grid_points((count,), points.device)[:, 0]  # (count,)
        bell = torch.exp(-0.5 * (centres - points[..., axis, None]) ** 2 / variance)  # (N, K, count)
        shape = [1] * len(size)
        shape[last - axis] = count
        bell = bell.view(*bell.shape[:2], *shape)
        out = bell if out is None else out * bell
    assert out is not None
    return out
