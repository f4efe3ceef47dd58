"""Frechet distance of two sets of features, each taken as a Gaussian (Heusel et al. 2017, eq. 6)."""

from __future__ import annotations

import torch
from torch import Tensor

from mmfa_components.errors import RecordError


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """``|mu_1 - mu_2|^2 + tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2))``, S the unbiased covariance; 0 for equal sets, in float64.

    first: (N, D), second: (M, D), N and M at least 2, any D. The trace of the root is the sum of singular values of ``A B^T``, where
    ``A^T A = S_1`` and ``B^T B = S_2`` are the centred features over root of N - 1: no matrix root is taken, and a covariance that is
    singular (fewer images than features) does no harm. Few images make the distance too large: compare only figures of equal numbers.

    Raises RecordError when the widths differ or a set has fewer than two rows.
    """
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise RecordError(f"expected features (N, D) and (M, D), got {tuple(first.shape)} and {tuple(second.shape)}", where="frechet_distance")
    if min(len(first), len(second)) < 2:
        raise RecordError("needs at least two images in each set", where="frechet_distance", fix="evaluate more frames")
    (mean_1, root_1), (mean_2, root_2) = _gaussian(first), _gaussian(second)
    cross = torch.linalg.svdvals(root_1 @ root_2.T).sum()
    distance = (mean_1 - mean_2).square().sum() + root_1.square().sum() + root_2.square().sum() - 2 * cross
    return max(0.0, float(distance))


def _gaussian(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) and a root (min(N, D), D) of the covariance."""
    x = features.detach().to("cpu", torch.float64)
    mean = x.mean(0)
    root = (x - mean) / (len(x) - 1) ** 0.5
    if len(root) > root.shape[1]:  # the triangle of QR has the same Gram matrix and fewer rows
        root = torch.linalg.qr(root, mode="r").R
    return mean, root
