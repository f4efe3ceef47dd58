"""What the recipe of a latent space of features is, beside any other recipe."""

from __future__ import annotations

import abc

import attrs
from attrs.validators import gt
from torch import nn

from mmfa_components.training.features import Features
from mmfa_components.training.recipe import TrainingRecipe
from mmfa_components.weights import WeightsFile


@attrs.frozen
class LatentRun:
    """How long and how a latent space is trained.

    folder: weights and report.
    rate, critic_rate: Adam. The rate falls along a half cosine to a twentieth.
    """

    folder: str = "runs/vae"
    steps: int = attrs.field(default=6000, validator=gt(0))
    batch: int = attrs.field(default=128, validator=gt(1))
    rate: float = attrs.field(default=2e-3, validator=gt(0.0))
    critic_rate: float = attrs.field(default=1e-3, validator=gt(0.0))
    seed: int = 0
    device: str = "auto"


@attrs.frozen
class LatentFigures:
    """What came out, on held-out clips.

    error, train_error: mean squared reconstruction error in units of the features' spread (1 =
        nothing learnt).
    kl: nats, summed over units.  active_units of units.
    variance: total variance of rebuilt over real features; prior_variance: the same of features
        decoded from the prior.
    collapsed: why the run has failed, "" when it has not.
    """

    rows: int
    clips: int
    error: float
    train_error: float
    kl: float
    active_units: int
    units: int
    variance: float
    prior_variance: float
    collapsed: str


class LatentRecipe(TrainingRecipe):
    """How a latent space of expression features learns; of component kind "vae_recipe".

    Its material is ``training.features.FeatureRows``; its options have the field ``run``, of a
    class that extends LatentRun.
    """

    side = 0
    unit = "features"
    critic_losses = ("critic",)
    remedy = "lower run.rate or losses.adversarial"

    @property
    @abc.abstractmethod
    def encoder(self) -> WeightsFile:
        """The weights whose features are learnt."""

    @abc.abstractmethod
    def measure(self, networks: nn.Module, rows: Features, held: Features, seed: int) -> LatentFigures:
        """Figures of trained networks on held-out rows. seed: of samples of the prior."""
