"""What a training file may say of MMFA: model, losses with their weights, schedule."""

from __future__ import annotations

from typing import Literal

import attrs
from attrs.validators import ge

from mmfa_components.training import options


@attrs.frozen
class Model(options.Model):
    """What is trained; see training.options.Model for the keys that every system has.

    preset: "base", "base_image" or "paper".
    discriminator: what the adversary judges, "pixels" (the paper's) or "features" of the perceptual
        network (networks.critics.perceptual).
    """

    preset: str = "base"
    discriminator: Literal["pixels", "features"] = "pixels"


@attrs.frozen
class LandmarkParts:
    """Weights of the three parts of the landmark loss (eq. 9)."""

    mouth: float = attrs.field(default=1.5, validator=ge(0.0))
    eyes: float = attrs.field(default=2.0, validator=ge(0.0))
    rest: float = attrs.field(default=0.5, validator=ge(0.0))


@attrs.frozen
class Losses:
    """Weights of eq. 14; 0 leaves a loss out.

    The paper's own weights of representation, identity and landmarks are lost.

    perceptual: VGG features of all three sizes (eq. 6).
    face: features of a face network at full size (eq. 6).
    recognition: cosine of the face's embedding, not in the paper (losses.recognition).
    adversarial, feature_matching: LSGAN.
    equivariance: eq. 15.
    keypoint_prior, deformation_prior: A.2.
    representation: eq. 7.
    identity: eq. 8.
    landmarks: eq. 9, times ``landmark_parts``.
    guide, place: keypoints, and scale and translation, led by landmarks, not in the paper
        (losses.guide).
    centred: eq. 7 on features less their batch mean (losses.representation).
    levels: pyramid levels of the perceptual loss for results of 64, 128 and 256.
    window: pixels of a side of the random window of the finest result that the perceptual loss, the
        face network and the adversary look at, for speed; 0: all of it. The window is another one
        in each step.
    """

    perceptual: float = attrs.field(default=10.0, validator=ge(0.0))
    face: float = attrs.field(default=0.0, validator=ge(0.0))
    recognition: float = attrs.field(default=0.0, validator=ge(0.0))
    adversarial: float = attrs.field(default=1.0, validator=ge(0.0))
    feature_matching: float = attrs.field(default=10.0, validator=ge(0.0))
    equivariance: float = attrs.field(default=20.0, validator=ge(0.0))
    keypoint_prior: float = attrs.field(default=10.0, validator=ge(0.0))
    deformation_prior: float = attrs.field(default=5.0, validator=ge(0.0))
    representation: float = attrs.field(default=2.0, validator=ge(0.0))
    identity: float = attrs.field(default=5.0, validator=ge(0.0))
    landmarks: float = attrs.field(default=80.0, validator=ge(0.0))
    guide: float = attrs.field(default=20.0, validator=ge(0.0))
    place: float = attrs.field(default=10.0, validator=ge(0.0))
    landmark_parts: LandmarkParts = attrs.field(factory=LandmarkParts)
    centred: bool = True
    levels: tuple[int, int, int] = (1, 1, 2)
    window: int = attrs.field(default=0, validator=ge(0))

    def by_name(self) -> dict[str, float]:
        """The weights alone, by the names of the losses."""
        numbers = (f.name for f in attrs.fields(Losses) if f.type in (float, "float"))
        return {name: getattr(self, name) for name in numbers}


@attrs.frozen
class Schedule(options.Schedule):
    """Steps at which things change; see training.options.Schedule for the learning rate.

    adversarial_from: first step with the adversary.
    landmarks_from: first step with the landmark loss, which grows over ``landmarks_ramp`` steps;
        from step 0 it makes the networks collapse to a flat picture.
    images_from: first step that makes images; before it only the networks of motion are trained, by
        the losses that need none.
    """

    adversarial_from: int = attrs.field(default=3000, validator=ge(0))
    landmarks_from: int = attrs.field(default=2000, validator=ge(0))
    landmarks_ramp: int = attrs.field(default=1500, validator=ge(0))
    images_from: int = attrs.field(default=0, validator=ge(0))

    def landmark_ramp(self, step: int) -> float:
        """Factor of the landmark loss, 0 to 1."""
        if step < self.landmarks_from:
            return 0.0
        return min(1.0, (step - self.landmarks_from + 1) / max(1, self.landmarks_ramp))


@attrs.frozen
class Options(options.TrainingOptions):
    """Options of MMFA's recipe."""

    model: Model = attrs.field(factory=Model)
    losses: Losses = attrs.field(factory=Losses)
    schedule: Schedule = attrs.field(factory=Schedule)
