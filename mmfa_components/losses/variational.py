"""Losses of the expression VAE (paper eq. 13): reconstruction and KL divergence; its adversary uses losses.adversarial."""

from __future__ import annotations

import torch
from torch import Tensor


def reconstruction_loss(feature: Tensor, rebuilt: Tensor, spread: Tensor) -> Tensor:
    """Mean squared error of features (N, E), each coordinate in units of its own spread (E,) > 0, so that none counts for its size."""
    return ((rebuilt - feature) / spread).square().mean()


def kl_loss(mean: Tensor, log_variance: Tensor, free_bits: float = 0.0) -> Tensor:
    """KL divergence of the posterior N(mean, exp(log_variance)) from N(0, 1), in nats: summed over latent units, mean over the batch.

    mean, log_variance: (N, Z).  free_bits: nats a unit may use for nothing; below that (mean over the batch) it gets no gradient.
    """
    units = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(0)  # (Z,)
    return torch.clamp_min(units, free_bits).sum() if free_bits else units.sum()
