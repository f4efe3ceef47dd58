"""Variational autoencoder of expression features (paper section 3.3, eq. 10-12)."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn


def _layers(widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers)


class ExpressionVAE(nn.Module):
    """e (N, E) -> mean and log variance (N, Z) (eq. 10); z (N, Z) -> e^ (N, E) (eq. 12).

    Features are normalised inside by the buffers ``centre`` and ``spread`` (E,), measured on the
    training features.

    Args:
        features: E.
        latent: Z.
        hidden: widths of the encoder's layers; the decoder has them in reverse.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, features: int, latent: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.encoder = _layers((features, *hidden))
        self.posterior = nn.Linear(hidden[-1], 2 * latent)
        self.decoder = _layers((latent, *reversed(hidden)))
        self.last = nn.Linear(hidden[0], features)
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))

    def encode(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior (mean, log variance) of expression features."""
        hidden = self.posterior(self.encoder((feature - self.centre) / self.spread))
        mean, log_variance = hidden.chunk(2, 1)
        return mean, log_variance.clamp(-12.0, 8.0)

    def decode(self, latent: Tensor) -> Tensor:
        """Expression features of latents."""
        feature: Tensor = self.last(self.decoder(latent)) * self.spread + self.centre
        return feature

    def forward(self, feature: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruct: (e^, mean, log variance), with z = mean + sigma * eps (eq. 11)."""
        mean, log_variance = self.encode(feature)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        return self.decode(mean + torch.exp(0.5 * log_variance) * noise), mean, log_variance
