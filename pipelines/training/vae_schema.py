"""What a ``kind = "train_vae"`` file may say."""

from __future__ import annotations

from pathlib import Path

import attrs
from attrs.validators import ge, gt, in_, instance_of, lt


@attrs.frozen
class VAEData:
    """cache: motion cache whose expression features are learnt from.  held_out: share of the clips that is kept for the figures."""

    cache: str = ".cache/mmfa"
    held_out: float = attrs.field(default=0.1, validator=[gt(0.0), lt(1.0)])


@attrs.frozen
class VAELosses:
    """Weights of eq. 13; 3DFaceShop has 1, 0.0025 and 5. kl: of the sum over latent units.  adversarial: 3DFaceShop's 5 lets the critic
    win over reconstruction on our normalised features, so the default is lower.  free_bits: see kl_loss.
    """

    reconstruction: float = attrs.field(default=1.0, validator=gt(0.0))
    kl: float = attrs.field(default=0.0025, validator=ge(0.0))
    adversarial: float = attrs.field(default=0.05, validator=ge(0.0))
    free_bits: float = attrs.field(default=0.0, validator=ge(0.0))


@attrs.frozen
class VAERun:
    """How it is trained.

    folder: weights and report.  kl_warmup, adversarial_from: steps over which the KL weight rises, and first step with the critic.
    rate, critic_rate: Adam.  The rate falls along a half cosine to a twentieth.
    """

    folder: str = "runs/vae"
    steps: int = attrs.field(default=6000, validator=gt(0))
    batch: int = attrs.field(default=128, validator=gt(1))
    rate: float = attrs.field(default=2e-3, validator=gt(0.0))
    critic_rate: float = attrs.field(default=1e-3, validator=gt(0.0))
    kl_warmup: int = attrs.field(default=1000, validator=ge(0))
    adversarial_from: int = attrs.field(default=1000, validator=ge(0))
    seed: int = 0
    device: str = "auto"


@attrs.frozen
class Collapse:
    """When a run has failed: fewer active latent units, or less variance rebuilt (share of the real features') than this."""

    least_units: int = attrs.field(default=4, validator=ge(0))
    least_variance: float = attrs.field(default=0.3, validator=ge(0.0))


@attrs.frozen
class VAEPipeline:
    """A whole file of this kind. preset: of the animator whose features these are.  ``weights`` replaces weights files by name."""

    kind: str = attrs.field(default="train_vae", validator=[instance_of(str), in_(("train_vae",))])
    description: str = ""
    preset: str = "base"
    data: VAEData = attrs.field(factory=VAEData)
    losses: VAELosses = attrs.field(factory=VAELosses)
    run: VAERun = attrs.field(factory=VAERun)
    collapse: Collapse = attrs.field(factory=Collapse)
    weights: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen
class VAEPlan:
    """A checked pipeline. ``origin`` is the TOML file."""

    pipeline: VAEPipeline
    origin: Path
