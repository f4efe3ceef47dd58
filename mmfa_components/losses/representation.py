"""Self-supervised representation loss and identity consistency (paper eq. 7, 8)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def representation_loss(feature: Tensor, transformed: Tensor, centred: bool = False) -> Tensor:
    """Eq. 7: ``1 - cos(e, e')``, mean over images. feature, transformed: (N, E), the latter of the image turned, scaled, shifted.

    centred: compare what is left when the mean over the batch is taken from both. A large part that all features share makes every
    cosine 1, and the loss then asks for nothing. Needs N >= 2; with one image it is as without.
    """
    if centred and len(feature) > 1:
        middle = (feature.mean(0, keepdim=True) + transformed.mean(0, keepdim=True)) / 2
        feature, transformed = feature - middle, transformed - middle
    return (1 - functional.cosine_similarity(feature, transformed, dim=1)).mean()


def identity_loss(source: Tensor, driving: Tensor) -> Tensor:
    """Eq. 8: mean absolute difference of canonical keypoints (N, K, 3) of two frames of one person."""
    return (source - driving).abs().mean()
