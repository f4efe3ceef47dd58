"""Settings of the short trainer: loss weights after equations.md, sampling, optimiser."""

from __future__ import annotations

import attrs


@attrs.frozen
class LossWeights:
    """Weights of eq. 14; 0 leaves a loss out. The paper's own lambda_ssl, lambda_id and lambda_lmk are lost."""

    perceptual: float = 10.0
    adversarial: float = 1.0
    feature_matching: float = 10.0
    equivariance: float = 20.0
    keypoint_prior: float = 10.0
    deformation_prior: float = 5.0
    representation: float = 2.0
    identity: float = 5.0
    landmarks: float = 0.0


@attrs.frozen
class TrainSettings:
    """How to train.

    minutes: wall-clock limit of this call; a later call continues.  batch: pairs a step.  rate: learning rate.  decay_from: share of
    ``minutes`` after which the rate falls linearly to a tenth (1 = never).  gan_from, landmarks_from: step at which these losses come in;
    landmarks_ramp: steps over which the landmark loss grows.  ema: decay of the averaged weights.  clip: largest gradient norm.
    stills: share of single portraits.  compile: torch.compile the heavy networks.
    """

    minutes: float = 9.0
    steps: int = 10**9
    batch: int = 24
    rate: float = 2e-4
    decay_from: float = 1.0
    gan_from: int = 3000
    landmarks_from: int = 2000
    landmarks_ramp: int = 1500
    ema: float = 0.999
    clip: float = 10.0
    stills: float = 0.15
    seed: int = 0
    compile: bool = False
    save_every: float = 120.0
    weights: LossWeights = attrs.field(factory=LossWeights)
