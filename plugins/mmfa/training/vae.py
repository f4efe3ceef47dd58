"""The recipe of the latent space of expressions, on features alone (paper 3.3, eq. 10-13).

Its figures show whether the latent space collapsed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import torch
from attrs.validators import ge, gt
from torch import Tensor, nn

from mmfa_components.kinds import Context
from mmfa_components.losses.adversarial import discriminator_loss, generator_loss
from mmfa_components.losses.variational import kl_loss, reconstruction_loss
from mmfa_components.networks.expression.vae import ExpressionVAE
from mmfa_components.training.features import FeatureRows, Features
from mmfa_components.training.recipe import Moment, Shipped
from mmfa_components.training.vae import LatentFigures, LatentRecipe, LatentRun
from mmfa_components.weights import WeightsFile
from plugins.mmfa.presets import Sizes, expression_critic, expression_vae, preset

ACTIVE = 0.01
"""A latent unit is active when the variance of its posterior mean over the held-out rows is above
this (Burda et al. 2016)."""
PRIOR_SAMPLES = 2048


@attrs.frozen
class Losses:
    """Weights of eq. 13; 3DFaceShop has 1, 0.0025 and 5.

    kl: of the sum over latent units.
    adversarial: 3DFaceShop's 5 lets the critic win over reconstruction on our normalised features,
        so the default is lower.
    free_bits: nats a latent unit may use for nothing (losses.variational.kl_loss).
    """

    reconstruction: float = attrs.field(default=1.0, validator=gt(0.0))
    kl: float = attrs.field(default=0.0025, validator=ge(0.0))
    adversarial: float = attrs.field(default=0.05, validator=ge(0.0))
    free_bits: float = attrs.field(default=0.0, validator=ge(0.0))


@attrs.frozen
class Run(LatentRun):
    """How it is trained; see training.vae.LatentRun for the other keys.

    kl_warmup: steps over which the weight of the divergence rises.
    adversarial_from: first step with the critic.
    """

    kl_warmup: int = attrs.field(default=1000, validator=ge(0))
    adversarial_from: int = attrs.field(default=1000, validator=ge(0))


@attrs.frozen
class Collapse:
    """When a run has failed: it ends with less than this.

    least_units: active latent units.
    least_variance: of the rebuilt features, as a share of the real ones'.
    """

    least_units: int = attrs.field(default=4, validator=ge(0))
    least_variance: float = attrs.field(default=0.3, validator=ge(0.0))


@attrs.frozen
class Options:
    """Options of the recipe. preset: of the animator whose features these are."""

    preset: str = "base"
    losses: Losses = attrs.field(factory=Losses)
    run: Run = attrs.field(factory=Run)
    collapse: Collapse = attrs.field(factory=Collapse)


@attrs.frozen(eq=False)
class Noise:
    """Standard normal numbers (B, Z) of eq. 11."""

    rows: Tensor

    def part(self, rank: int, world: int) -> Noise:
        """Every ``world``-th row, from ``rank`` on."""
        return Noise(self.rows[rank::world])


class VAEObjective(nn.Module):
    """Features to the losses of eq. 13."""

    def __init__(self, network: ExpressionVAE, options: Options) -> None:
        super().__init__()
        self.network, self.options = network, options

    def forward(
        self, batch: Tensor, noise: Noise, moment: Moment, critic: nn.Module | None = None
    ) -> tuple[Tensor, dict[str, Tensor], tuple[Tensor, Tensor] | None]:
        """Weighted sum, losses by name, and normalised features, real and rebuilt."""
        network, weights, run = self.network, self.options.losses, self.options.run
        mean, log_variance = network.encode(batch)
        rebuilt = network.decode(mean + torch.exp(0.5 * log_variance) * noise.rows)
        kl_weight = weights.kl * min(1.0, (moment.step + 1) / max(1, run.kl_warmup))
        parts = {
            "reconstruction": reconstruction_loss(batch, rebuilt, network.spread),
            "kl": kl_loss(mean, log_variance, weights.free_bits),
        }
        total = weights.reconstruction * parts["reconstruction"] + kl_weight * parts["kl"]
        if critic is None or weights.adversarial <= 0 or moment.step < run.adversarial_from:
            return total, parts, None
        fake = (rebuilt - network.centre) / network.spread
        parts["adversarial"] = generator_loss(critic(fake))
        real = (batch - network.centre) / network.spread
        return total + weights.adversarial * parts["adversarial"], parts, (real, fake.detach())


class VAERecipe(LatentRecipe):
    """How the latent space learns. Raises ConfigError for an unknown preset."""

    def __init__(self, options: Options, context: Context) -> None:
        self.options = options
        self.preset = preset(options.preset)
        self.sizes: Sizes = self.preset.sizes
        self.critic_rate = options.run.critic_rate
        self.kept: tuple[Features, Features] | None = None

    @property
    def weights_file(self) -> WeightsFile:
        """The latent space of the preset."""
        return self.preset.weights["expression_vae"]

    @property
    def encoder(self) -> WeightsFile:
        """The animator of the preset."""
        return self.preset.weights["animator"]

    @property
    def weights(self) -> Mapping[str, float]:
        """Weights of eq. 13."""
        losses = self.options.losses
        return {name: getattr(losses, name) for name in ("reconstruction", "kl", "adversarial")}

    def networks(self) -> ExpressionVAE:
        """The autoencoder."""
        return expression_vae(self.sizes)

    def critic(self, judges: Any, device: torch.device) -> nn.Module:
        """The critic of features."""
        return expression_critic(self.sizes).to(device)

    @torch.no_grad()
    def prepare(self, networks: nn.Module, material: FeatureRows) -> None:
        """Set centre and spread of the features."""
        assert isinstance(networks, ExpressionVAE)
        rows = material.feature
        networks.centre.copy_(rows.mean(0))
        networks.spread.copy_(rows.std(0).clamp_min(1e-3 * float(rows.std())))

    def draw(self, count: int, generator: torch.Generator, device: torch.device) -> Noise:
        """The noise of eq. 11."""
        return Noise(torch.randn(count, self.sizes.latent, generator=generator).to(device))

    def objective(self, networks: nn.Module, judges: Any) -> VAEObjective:
        """Eq. 13."""
        assert isinstance(networks, ExpressionVAE)
        return VAEObjective(networks, self.options)

    def critic_step(self, critic: nn.Module, exhibits: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """LSGAN on normalised features."""
        real, fake = exhibits
        return {"critic": discriminator_loss(critic(real), critic(fake))}

    def measure(self, networks: nn.Module, rows: Features, held: Features, seed: int) -> LatentFigures:
        """Figures of a trained network on held-out rows; posterior means are decoded."""
        assert isinstance(networks, ExpressionVAE)
        device = networks.centre.device
        learnt, unseen = rows.feature.to(device), held.feature.to(device)
        return measure(networks, learnt, unseen, held.clips, seed, self.options.collapse)

    def shipped(self, averaged: nn.Module, critic: nn.Module | None) -> Sequence[Shipped]:
        """Nothing before the figures say that the latent space has not collapsed."""
        return ()


@torch.no_grad()
def measure(network: ExpressionVAE, rows: Tensor, held: Tensor, clips: int, seed: int, limits: Collapse) -> LatentFigures:
    """Figures of a trained network on held-out rows (N, E) of ``clips`` clips.

    rows: (T, E) that it learnt from.  seed: of the samples of the prior.
    """
    mean, log_variance = network.encode(held)
    rebuilt = network.decode(mean)
    active, units = int((mean.var(0) > ACTIVE).sum()), mean.shape[1]
    generator = torch.Generator().manual_seed(seed)
    latent = torch.randn(PRIOR_SAMPLES, units, generator=generator).to(held.device)
    total = _variance(held, network)
    variance = _variance(rebuilt, network) / total
    reasons = []
    if active < limits.least_units:
        reasons.append(f"only {active} of {units} latent units are active, {limits.least_units} are wanted")
    if not math.isfinite(variance) or variance < limits.least_variance:
        wanted = f"{limits.least_variance:g} are wanted"
        reasons.append(f"the rebuilt features have {variance:.2f} of the real ones' variance, {wanted}")
    learnt = network.decode(network.encode(rows)[0])
    return LatentFigures(
        rows=len(held),
        clips=clips,
        error=float(reconstruction_loss(held, rebuilt, network.spread)),
        train_error=float(reconstruction_loss(rows, learnt, network.spread)),
        kl=float(kl_loss(mean, log_variance)),
        active_units=active,
        units=units,
        variance=variance,
        prior_variance=_variance(network.decode(latent), network) / total,
        collapsed="; ".join(reasons),
    )


def _variance(feature: Tensor, network: ExpressionVAE) -> float:
    return float(((feature - feature.mean(0)) / network.spread).square().mean())


def make_vae_recipe(options: Options, context: Context) -> VAERecipe:
    """The recipe. Raises ConfigError for an unknown preset."""
    return VAERecipe(options, context)
