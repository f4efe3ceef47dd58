"""Self-supervised representation loss and identity consistency (paper eq. 7, 8)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def representation_loss(feature: Tensor, transformed: Tensor) -> Tensor:
    """Eq. 7: ``1 - cos(e, e')``, mean over images. feature, transformed: (N, E), the latter of the image turned, scaled, shifted."""
    return (1 - functional.cosine_similarity(feature, transformed, dim=1)).mean()


def identity_loss(source: Tensor, driving: Tensor) -> Tensor:
    """Eq. 8: mean absolute difference of canonical keypoints (N, K, 3) of two frames of one person."""
    return (source - driving).abs().mean()
