"""Head rotations: matrices to and from angles, nearest rotation, interpolation, distance.

Components hand over 3x3 matrices; angles appear only where a person reads or types them. The signs are those of HopeNet's
drawing convention: the nose direction ``R e_z`` is ``(-sin yaw, -cos yaw sin pitch, cos yaw cos pitch)`` and
``R = Rx(pitch) Ry(-yaw) Rz(roll)``. Axes x right, y down, z towards the viewer; all angles in radians unless named degrees.
"""

from __future__ import annotations

import torch
from torch import Tensor


def euler_to_matrix(yaw: Tensor, pitch: Tensor, roll: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) from yaw, pitch, roll (...) in radians. Differentiable."""
    sy, cy, sp, cp, sr, cr = (-yaw).sin(), yaw.cos(), pitch.sin(), pitch.cos(), roll.sin(), roll.cos()
    rows = [
        torch.stack([cy * cr, -cy * sr, sy], -1),
        torch.stack([cp * sr + sp * sy * cr, cp * cr - sp * sy * sr, -sp * cy], -1),
        torch.stack([sp * sr - cp * sy * cr, sp * cr + cp * sy * sr, cp * cy], -1),
    ]
    return torch.stack(rows, -2)  # (..., 3, 3)


def matrix_to_euler(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Yaw, pitch, roll (...) in radians of rotation matrices (..., 3, 3); unique for yaw within +-90 degrees."""
    yaw = torch.asin((-matrix[..., 0, 2]).clamp(-1.0, 1.0))
    pitch = torch.atan2(-matrix[..., 1, 2], matrix[..., 2, 2])
    roll = torch.atan2(-matrix[..., 0, 1], matrix[..., 0, 0])
    return yaw, pitch, roll


def in_plane(angle: Tensor) -> Tensor:
    """Rotations (..., 3, 3) about the viewing axis by ``angle`` (...) radians, clockwise as seen (x towards y)."""
    zero = torch.zeros_like(angle)
    return euler_to_matrix(zero, zero, angle)


def rotate_in_plane(matrix: Tensor, angle: Tensor) -> Tensor:
    """What rotating the image clockwise by ``angle`` (...) does to a head rotation (..., 3, 3)."""
    return in_plane(angle) @ matrix


def nearest_rotation(matrix: Tensor) -> Tensor:
    """The rotation (..., 3, 3) nearest to any matrix (..., 3, 3) in the Frobenius norm (by SVD, determinant +1)."""
    u, _, vh = torch.linalg.svd(matrix.float())
    sign = torch.linalg.det(u @ vh)
    scale = torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], -1)  # (..., 3)
    rotation: Tensor = (u * scale[..., None, :]) @ vh
    return rotation.to(matrix.dtype)


def rotation_vector(matrix: Tensor) -> Tensor:
    """Axis times angle (..., 3) of rotations (..., 3, 3); angles up to just under pi."""
    skew = torch.stack(
        [
            matrix[..., 2, 1] - matrix[..., 1, 2],
            matrix[..., 0, 2] - matrix[..., 2, 0],
            matrix[..., 1, 0] - matrix[..., 0, 1],
        ],
        -1,
    )
    sine = torch.linalg.vector_norm(skew, dim=-1, keepdim=True) / 2  # (..., 1)
    cosine = ((matrix.diagonal(dim1=-2, dim2=-1).sum(-1, keepdim=True) - 1) / 2).clamp(-1.0, 1.0)
    angle = torch.atan2(sine, cosine)
    factor = torch.where(sine > 1e-6, angle / (2 * sine).clamp_min(1e-12), torch.full_like(sine, 0.5))
    return skew * factor


def vector_rotation(vector: Tensor) -> Tensor:
    """Rotations (..., 3, 3) from axis times angle (..., 3); the inverse of :func:`rotation_vector`."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1)
    rotation: Tensor = torch.linalg.matrix_exp(skew.reshape(*vector.shape[:-1], 3, 3))
    return rotation


def slerp(start: Tensor, end: Tensor, weight: Tensor) -> Tensor:
    """The rotation ``weight`` (...) of the way, along the shortest arc, from ``start`` to ``end`` (..., 3, 3)."""
    step = rotation_vector(start.transpose(-1, -2) @ end)
    return start @ vector_rotation(step * weight[..., None])


def geodesic_degrees(first: Tensor, second: Tensor) -> Tensor:
    """Angle (...) in degrees between rotations (..., 3, 3)."""
    angle: Tensor = torch.linalg.vector_norm(rotation_vector(first.transpose(-1, -2) @ second), dim=-1)
    return torch.rad2deg(angle)
