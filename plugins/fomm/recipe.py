"""How FOMM is trained: reconstruction through VGG, equivariance of points and Jacobians, adversary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import torch
from attrs.validators import ge
from torch import Tensor, nn

from mmfa_components.kinds import Context
from mmfa_components.losses import adversarial
from mmfa_components.losses.equivariance import (
    ImageTransform,
    equivariance_loss,
    jacobian_equivariance_loss,
)
from mmfa_components.losses.perceptual import VGGFeatures, perceptual_loss
from mmfa_components.networks.blocks import channels_last
from mmfa_components.training import options
from mmfa_components.training.clips import Pairs
from mmfa_components.training.labels import IMAGE, Rows
from mmfa_components.training.recipe import Moment, Shipped, TrainingRecipe
from mmfa_components.weights import WeightsFile
from plugins.fomm.model import PARTS, FOMMModel, discriminator
from plugins.fomm.presets import Sizes, preset
from plugins.packaged.sources import load_fetched

VGG = "vgg16_features"
Exhibits = tuple[list[Tensor], list[Tensor]]


@attrs.frozen
class Model(options.Model):
    """preset: "base" or "paper"; see training.options.Model for the other keys."""

    preset: str = "base"


@attrs.frozen
class Losses:
    """Weights of the losses (section 3.4 and supplement); 0 leaves a loss out.

    perceptual: VGG features of the result at ``levels`` sizes.
    equivariance, jacobians: of keypoints (eq. 11) and of their Jacobians (eq. 12).
    adversarial, feature_matching: LSGAN; the authors' ``vox-adv`` has 1 and 10, ``vox`` neither.
    """

    perceptual: float = attrs.field(default=10.0, validator=ge(0.0))
    equivariance: float = attrs.field(default=10.0, validator=ge(0.0))
    jacobians: float = attrs.field(default=10.0, validator=ge(0.0))
    adversarial: float = attrs.field(default=1.0, validator=ge(0.0))
    feature_matching: float = attrs.field(default=10.0, validator=ge(0.0))
    levels: int = attrs.field(default=4, validator=ge(1))

    def by_name(self) -> dict[str, float]:
        """The weights alone, by the names of the losses."""
        return {k: v for k, v in attrs.asdict(self).items() if k != "levels"}


@attrs.frozen
class Schedule(options.Schedule):
    """adversarial_from: first step with the adversary."""

    adversarial_from: int = attrs.field(default=3000, validator=ge(0))


@attrs.frozen
class Options(options.TrainingOptions):
    """Options of FOMM's recipe."""

    model: Model = attrs.field(factory=Model)
    losses: Losses = attrs.field(factory=Losses)
    schedule: Schedule = attrs.field(factory=Schedule)


class Objective(nn.Module):
    """Pairs to losses."""

    def __init__(self, model: FOMMModel, perceptual: nn.Module, given: Options) -> None:
        super().__init__()
        self.model, self.options = model, given
        self.judge = [perceptual]  # in a list: neither trained nor saved

    def forward(
        self,
        pairs: Pairs,
        transform: ImageTransform,
        moment: Moment,
        critic: nn.Module | None = None,
    ) -> tuple[Tensor, dict[str, Tensor], Exhibits | None]:
        """Weighted sum, losses by name, what the critic learns from."""
        losses, weights = {}, self.options.losses
        source, driving = pairs.source[IMAGE], pairs.driving[IMAGE]
        images = torch.cat([source, driving, transform.warp_image(driving)])
        points, jacobians = self.model.keypoint_detector(images)
        (p_s, p_d, p_t), (j_s, j_d, j_t) = points.chunk(3), jacobians.chunk(3)
        losses["equivariance"] = equivariance_loss(p_d, p_t, transform)
        losses["jacobians"] = jacobian_equivariance_loss(j_d, j_t, p_t, transform)
        features = self.model.generator.encode(source)
        result = self.model.render(source, features, (p_s, j_s), (p_d, j_d))
        judge = self.judge[0]
        losses["perceptual"] = perceptual_loss(judge, result, driving, weights.levels)
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


class FOMMRecipe(TrainingRecipe):
    """How FOMM learns. Raises ConfigError for an unknown preset."""

    parts = PARTS
    compiled = ("dense_motion", "generator")

    def __init__(self, given: Options, context: Context) -> None:
        self.options = given
        self.preset = preset(given.model.preset)
        self.sizes: Sizes = self.preset.sizes

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
        return self.sizes.image

    @property
    def needs(self) -> tuple[str, ...]:
        """VGG-16."""
        return (VGG,)

    def networks(self) -> FOMMModel:
        """All networks of the preset."""
        return FOMMModel(self.sizes)

    def judges(self, context: Context, last: bool) -> nn.Module:
        """VGG-16, frozen."""
        vgg = VGGFeatures()
        load_fetched(VGG, vgg, context)
        return channels_last(vgg) if last else vgg

    def critic(self, judges: nn.Module, device: torch.device) -> nn.Module:
        """The adversary."""
        return discriminator(self.sizes).to(device)

    def draw(self, count: int, generator: torch.Generator, device: torch.device) -> ImageTransform:
        """The warps of the equivariance losses."""
        return ImageTransform.random(count, device, generator)

    def objective(self, networks: nn.Module, judges: nn.Module) -> Objective:
        """The losses."""
        assert isinstance(networks, FOMMModel)
        return Objective(networks, judges, self.options)

    def critic_step(self, critic: nn.Module, exhibits: Exhibits) -> dict[str, Tensor]:
        """LSGAN; real and fake in one pass."""
        real, fake = exhibits
        scores, _ = critic(torch.cat([real[0], fake[0].to(real[0])]))
        return {"discriminator": adversarial.discriminator_loss(*scores.chunk(2))}

    def rehearse(self, objective: nn.Module, batch: Pairs, drawn: ImageTransform) -> None:
        """One forward pass through all networks."""
        objective(batch, drawn, Moment(0, 0))

    def shipped(self, averaged: nn.Module, critic: nn.Module | None) -> Sequence[Shipped]:
        """The model, and the discriminator."""
        files = list(super().shipped(averaged, critic))
        if critic is not None:
            judge = f"fomm-discriminator/{self.preset.name}/1"
            files.append(Shipped("discriminator.safetensors", critic, judge))
        return files

    @torch.inference_mode()
    def render(self, networks: nn.Module, rows: Rows) -> Tensor:
        """Rebuild frames from the first one, absolute motion."""
        assert isinstance(networks, FOMMModel)
        images = rows[IMAGE]
        points, jacobians = networks.keypoint_detector(images)
        count = len(images) - 1
        features = networks.generator.encode(images[:1])
        first = [t[:1].expand(count, *t.shape[1:]) for t in (images, features, points, jacobians)]
        given = points[1:], jacobians[1:]
        return networks.render(first[0], first[1], (first[2], first[3]), given)


def make_recipe(given: Options, context: Context) -> FOMMRecipe:
    """The recipe. Raises ConfigError for an unknown preset."""
    return FOMMRecipe(given, context)
