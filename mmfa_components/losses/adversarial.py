"""Least-squares GAN loss and feature matching (paper A.2: L_G)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def generator_loss(fake_scores: Tensor) -> Tensor:
    """LSGAN loss of the generator: mean (D(fake) - 1)^2. fake_scores: any shape, unbounded logits."""
    return (fake_scores - 1).square().mean()


def discriminator_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """LSGAN loss of the discriminator: mean (D(real) - 1)^2 + mean D(fake)^2."""
    return (real_scores - 1).square().mean() + fake_scores.square().mean()


def feature_matching_loss(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Mean absolute difference of the discriminator's features, averaged over layers; the real ones get no gradient."""
    parts = [(f - r.detach()).abs().mean(dtype=torch.float32) for r, f in zip(real, fake, strict=True)]
    return torch.stack(parts).mean()
