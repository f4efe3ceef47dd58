"""The recipe that many systems share: a driving frame is rebuilt from a source frame of the same person.

What is rebuilt is judged by VGG-16 at several sizes and by an adversary; a system adds the losses on
its own motion. FOMM and face-vid2vid are trained so.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import torch
from attrs.validators import ge
from torch import Tensor, nn

from mmfa_components.kinds import Context
from mmfa_components.losses import adversarial
from mmfa_components.losses.equivariance import ImageTransform
from mmfa_components.losses.perceptual import VGGFeatures, features_of, perceptual_loss
from mmfa_components.networks.blocks import channels_last
from mmfa_components.presets import Preset
from mmfa_components.torch_weights import load_fetched
from mmfa_components.training import options
from mmfa_components.training.clips import Pairs
from mmfa_components.training.labels import IMAGE
from mmfa_components.training.recipe import Moment, Shipped, TrainingRecipe
from mmfa_components.weights import WeightsFile

VGG = "vgg16_features"
PLAIN = ("levels", "window")
"""Options among the weights of the losses that are no weights."""
Exhibits = tuple[list[Tensor], list[Tensor]]
"""What the adversary is shown: driving frames, and results."""


@attrs.frozen
class Model(options.Model):
    """preset: "base" or "paper"; see training.options.Model for the other keys."""

    preset: str = "base"


@attrs.frozen
class Losses:
    """Weights of the losses on pictures; 0 leaves a loss out. A system adds those on its motion.

    perceptual: VGG features of the result at ``levels`` sizes.
    adversarial, feature_matching: LSGAN.
    window: side of the random square of the full-size pictures that VGG looks at, for speed; the
        smaller sizes are looked at whole. 0: all of it.
    """

    perceptual: float = attrs.field(default=10.0, validator=ge(0.0))
    adversarial: float = attrs.field(default=1.0, validator=ge(0.0))
    feature_matching: float = attrs.field(default=10.0, validator=ge(0.0))
    levels: int = attrs.field(default=4, validator=ge(1))
    window: int = attrs.field(default=0, validator=ge(0))

    def by_name(self) -> dict[str, float]:
        """The weights alone, by the names of the losses."""
        return {name: value for name, value in attrs.asdict(self).items() if name not in PLAIN}


@attrs.frozen
class Schedule(options.Schedule):
    """adversarial_from: first step with the adversary."""

    adversarial_from: int = attrs.field(default=3000, validator=ge(0))


@attrs.frozen
class Options(options.TrainingOptions):
    """Options of such a recipe; a system replaces ``losses`` by its own class."""

    model: Model = attrs.field(factory=Model)
    losses: Losses = attrs.field(factory=Losses)
    schedule: Schedule = attrs.field(factory=Schedule)


class ReconstructionObjective(nn.Module, abc.ABC):
    """Pairs to losses. perceptual: picture -> features; neither trained nor saved."""

    def __init__(self, perceptual: nn.Module, given: Options) -> None:
        super().__init__()
        self.options = given
        self.judge = [perceptual]  # in a list, so that it is no part of this module

    @abc.abstractmethod
    def rebuild(self, pairs: Pairs, transform: ImageTransform) -> tuple[Tensor, dict[str, Tensor]]:
        """The driving frames (B, 3, S, S) rebuilt, and the losses on motion by name."""

    def forward(
        self,
        pairs: Pairs,
        transform: ImageTransform,
        moment: Moment,
        critic: nn.Module | None = None,
    ) -> tuple[Tensor, dict[str, Tensor], Exhibits | None]:
        """Weighted sum, losses by name, what the adversary learns from."""
        weights, driving = self.options.losses, pairs.driving[IMAGE]
        result, losses = self.rebuild(pairs, transform)
        losses["perceptual"] = self.seen(result, driving, moment)
        exhibits: Exhibits | None = None
        heard = weights.adversarial + weights.feature_matching > 0
        if critic is not None and heard and moment.step >= self.options.schedule.adversarial_from:
            with torch.no_grad():
                _, real = critic(driving)
            scores, fake = critic(result)
            losses["adversarial"] = adversarial.generator_loss(scores)
            losses["feature_matching"] = adversarial.feature_matching_loss(real, fake)
            exhibits = [driving], [result.detach()]
        by_name = weights.by_name()
        total = torch.stack([by_name[k] * v.float() for k, v in losses.items()]).sum()
        return total, losses, exhibits

    def seen(self, result: Tensor, driving: Tensor, moment: Moment) -> Tensor:
        """The perceptual loss; at full size of a random window, if the options name one."""
        weights, vgg, known = self.options.losses, self.judge[0], None
        window, side = weights.window, result.shape[-1]
        if 0 < window < side:
            places = torch.randint(side - window + 1, (2,), generator=moment.generator(apart=True))
            top, left = places.tolist()
            parts = [x[..., top : top + window, left : left + window] for x in (result, driving)]
            known = features_of(vgg, parts[0], parts[1])
        return perceptual_loss(vgg, result, driving, weights.levels, known)


class ReconstructionRecipe(TrainingRecipe):
    """What of such a recipe is the same for all systems.

    name: of the system, in architecture names.  preset: the one in use.  side: of the crops.
    """

    def __init__(self, name: str, given: Options, preset: Preset, side: int) -> None:
        self.name, self.options, self.preset, self._side = name, given, preset, side
        self.sizes: Any = preset.sizes

    @abc.abstractmethod
    def adversary(self) -> nn.Module:
        """A fresh adversary: images -> (scores, features)."""

    @property
    def weights_file(self) -> WeightsFile:
        """The animator's weights of the preset."""
        return self.preset.weights["animator"]

    @property
    def weights(self) -> Mapping[str, float]:
        """Weights of the losses."""
        return self.options.losses.by_name()

    @property
    def side(self) -> int:
        """Side of the crops."""
        return self._side

    @property
    def needs(self) -> tuple[str, ...]:
        """VGG-16."""
        return (VGG,)

    def judges(self, context: Context, last: bool) -> nn.Module:
        """VGG-16, frozen."""
        vgg = VGGFeatures()
        load_fetched(VGG, vgg, context)
        return channels_last(vgg) if last else vgg

    def critic(self, judges: nn.Module, device: torch.device) -> nn.Module:
        """The adversary."""
        return self.adversary().to(device)

    def draw(self, count: int, generator: torch.Generator, device: torch.device) -> ImageTransform:
        """The warps of the equivariance losses."""
        return ImageTransform.random(count, device, generator)

    def critic_step(self, critic: nn.Module, exhibits: Exhibits) -> dict[str, Tensor]:
        """LSGAN; real and fake in one pass."""
        real, fake = exhibits
        scores, _ = critic(torch.cat([real[0], fake[0].to(real[0])]))
        return {"discriminator": adversarial.discriminator_loss(*scores.chunk(2))}

    def rehearse(self, objective: nn.Module, batch: Pairs, drawn: ImageTransform) -> None:
        """One forward pass through all networks."""
        objective(batch, drawn, Moment(0, 0))

    def shipped(self, averaged: nn.Module, critic: nn.Module | None) -> Sequence[Shipped]:
        """The model, and the adversary."""
        files = list(super().shipped(averaged, critic))
        if critic is not None:
            made_for = f"{self.name}-discriminator/{self.preset.name}/1"
            files.append(Shipped("discriminator.safetensors", critic, made_for))
        return files
