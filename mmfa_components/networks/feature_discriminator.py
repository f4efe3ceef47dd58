"""Critic of expression features for the VAE's adversarial loss (paper eq. 13, after 3DFaceShop)."""

from __future__ import annotations

from torch import Tensor, nn

from mmfa_components.networks.presets import Sizes


class FeatureDiscriminator(nn.Module):
    """Normalised features (N, E) -> logits (N, 1), unbounded; tells e from e^."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.vae_hidden[0]
        self.layers = nn.Sequential(
            nn.Linear(sizes.expression, width), nn.LeakyReLU(0.2), nn.Linear(width, width), nn.LeakyReLU(0.2), nn.Linear(width, 1)
        )

    def forward(self, feature: Tensor) -> Tensor:
        """Judge features."""
        logits: Tensor = self.layers(feature)
        return logits
