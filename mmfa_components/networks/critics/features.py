"""Critic of feature vectors, for the expression VAE's adversarial loss (eq. 13, 3DFaceShop)."""

from __future__ import annotations

from torch import Tensor, nn


class FeatureDiscriminator(nn.Module):
    """Normalised features (N, E) -> logits (N, 1), unbounded.

    Args:
        features: E.
        width: of the two hidden layers.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(features, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, 1),
        )

    def forward(self, feature: Tensor) -> Tensor:
        """Judge features."""
        logits: Tensor = self.layers(feature)
        return logits
