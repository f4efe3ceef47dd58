"""Composition of keypoints from identity and motion: the heart of MMFA (paper section 3.2, eq. 5)."""

from __future__ import annotations

import torch
from torch import Tensor

from mmfa_components.geometry.apply import apply_matrix
from mmfa_components.records import CanonicalKeypoints, Deformation, Keypoints, Motion


def compose_points(canonical: Tensor, delta: Tensor, rotation: Tensor, scale: Tensor, translation: Tensor) -> Tensor:
    """Posed keypoints ``x = s R (x_c + delta) + t`` (eq. 5).

    Args:
        canonical: (N, K, 3) canonical keypoints x_c, about [-1, 1].
        delta: (N, K, 3) expression deformation, in the canonical frame.
        rotation: (N, 3, 3) in SO(3).
        scale: (N,) > 0.
        translation: (N, 3).

    Returns:
        (N, K, 3). The form is the only one that is equivariant to similarity transforms of the image (tests/geometry).
    """
    rotated = apply_matrix(rotation, canonical + delta)  # (N, K, 3)
    return scale[:, None, None] * rotated + translation[:, None, :]


def compose(canonical: CanonicalKeypoints, deformation: Deformation, motion: Motion) -> Keypoints:
    """Posed keypoints of a record each (eq. 5), with the local frame ``s R`` that every keypoint shares (eq. 1: J).

    ``canonical`` may hold one row for all frames of ``motion``.
    """
    frames = motion.scale.shape[0]
    points = compose_points(canonical.points.expand(frames, -1, -1), deformation.delta, motion.rotation, motion.scale, motion.translation)
    return Keypoints(points=points, frame=motion.scale[:, None, None] * motion.rotation)


def similarity(angle: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Similarity transforms of the image plane as matrices (N, 2, 3): ``y = scale Rz(angle) x + shift``.

    angle: (N,) radians, clockwise as seen.  scale: (N,) > 0.  shift: (N, 2) in units of half the image's side.
    """
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    return torch.stack([torch.stack([cosine, -sine, shift[:, 0]], -1), torch.stack([sine, cosine, shift[:, 1]], -1)], -2)
