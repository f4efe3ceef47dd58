"""The recipe of MMFA's networks: eq. 14 on pairs of frames of one person."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

import attrs
import torch
from torch import Tensor, nn

from mmfa_components.kinds import Context
from mmfa_components.losses import adversarial
from mmfa_components.losses.equivariance import ImageTransform
from mmfa_components.losses.guide import GUIDE, GUIDE_MIRROR
from mmfa_components.networks.critics.perceptual import PerceptualDiscriminator, judged
from mmfa_components.training.clips import FaceClips, Pairs
from mmfa_components.training.held_out import REGION_SIDE
from mmfa_components.training.labels import (
    IMAGE,
    PLACE,
    REGION,
    ROTATION,
    SHAPE,
    Label,
    Rows,
    mesh_points,
)
from mmfa_components.training.recipe import Material, RecordFunction, Shipped, TrainingRecipe
from mmfa_components.weights import WeightsFile
from plugins.mmfa.model import PARTS, MMFAModel
from plugins.mmfa.presets import Sizes, discriminator, preset
from plugins.mmfa.training.judges import Judges, Recogniser, load_judges, needed
from plugins.mmfa.training.objective import AnimationObjective, Exhibits
from plugins.mmfa.training.options import Options
from plugins.packaged.sface import SIDE

LABELS: Mapping[str, Label] = {
    "rotation": ROTATION,
    "region": REGION,
    "guide": mesh_points(GUIDE, GUIDE_MIRROR),
    "place": PLACE,
    "shape": SHAPE,
}


class MMFARecipe(TrainingRecipe):
    """How MMFA learns. Raises ConfigError for an unknown preset."""

    parts = PARTS
    compiled = ("appearance_extractor", "dense_motion", "generator")

    def __init__(self, options: Options, context: Context) -> None:
        self.options = options
        self.preset = preset(options.model.preset)
        self.sizes: Sizes = self.preset.sizes
        self.some_unused = options.schedule.images_from > 0
        self.starts = {"landmarks": options.schedule.landmarks_from}

    @property
    def weights_file(self) -> WeightsFile:
        """The animator's weights of the preset."""
        return self.preset.weights["animator"]

    @property
    def weights(self) -> Mapping[str, float]:
        """Weights of eq. 14."""
        return self.options.losses.by_name()

    @property
    def side(self) -> int:
        """Side of the crops."""
        return self.sizes.image

    @property
    def identity(self) -> str:
        """The preset."""
        return self.preset.name

    @property
    def labels(self) -> Mapping[str, Label]:
        """Rotation, region of the landmark network, guide, place and shape."""
        return LABELS

    @property
    def needs(self) -> tuple[str, ...]:
        """VGG-16, and SFace where a loss looks through it."""
        return needed(self.options.losses)

    def networks(self) -> MMFAModel:
        """All networks of the preset."""
        return MMFAModel(self.sizes)

    def judges(self, context: Context, channels_last: bool) -> Judges:
        """The frozen networks that the losses need."""
        return load_judges(self.options.losses, context, channels_last)

    @torch.no_grad()
    def critic(self, judges: Judges, device: torch.device) -> nn.Module:
        """The adversary of pixels or of the perceptual network's features."""
        if self.options.model.discriminator == "pixels":
            return discriminator(self.sizes).to(device)
        picture = torch.zeros(1, 3, self.side, self.side, device=device)
        shown = judged(judges.perceptual(picture))
        return PerceptualDiscriminator([x.shape[1] for x in shown]).to(device)

    def draw(self, count: int, generator: torch.Generator, device: torch.device) -> ImageTransform:
        """The transforms of eq. 15."""
        return ImageTransform.random(count, device, generator)

    def objective(self, networks: nn.Module, judges: Judges) -> AnimationObjective:
        """Eq. 14."""
        assert isinstance(networks, MMFAModel)
        return AnimationObjective(networks, judges, self.options)

    def critic_step(self, critic: nn.Module, exhibits: Exhibits) -> dict[str, Tensor]:
        """LSGAN; real and fake in one pass."""
        shown = (torch.cat([r, f.to(r)]) for r, f in zip(*exhibits, strict=True))
        scores, _ = critic(*shown)
        return {"discriminator": adversarial.discriminator_loss(*scores.chunk(2))}

    def rehearse(self, objective: nn.Module, batch: Pairs, drawn: ImageTransform) -> None:
        """One forward pass through all networks."""
        assert isinstance(objective, AnimationObjective)
        objective.rehearse(batch, drawn)

    def record_judges(self, objective: nn.Module, batch: Pairs, record: RecordFunction) -> None:
        """Record the landmark network and the recogniser."""
        assert isinstance(objective, AnimationObjective)
        judges, device = objective.judges, batch.source[IMAGE].device
        if judges.landmarks is not None:
            region = torch.rand(len(batch), 3, REGION_SIDE, REGION_SIDE, device=device)
            judges = attrs.evolve(judges, landmarks=record(judges.landmarks, region))
        if judges.recogniser is not None:
            faces = torch.rand(len(batch), 3, SIDE, SIDE, device=device)
            embed = record(judges.recogniser.embed, faces)
            judges = attrs.evolve(judges, recogniser=Recogniser(embed))
        objective.judges = judges

    def finish(self, averaged: nn.Module, networks: nn.Module, material: Material) -> None:
        """Fit what the head's pose puts into expressions, unless the encoder is as it was."""
        assert isinstance(averaged, MMFAModel)
        assert isinstance(networks, MMFAModel)
        clips = getattr(material, "clips", None)
        learnt = any(p.requires_grad for p in networks.expression_encoder.parameters())
        if learnt and isinstance(clips, FaceClips):
            fit_pose_part(averaged, clips)

    def shipped(self, averaged: nn.Module, critic: nn.Module | None) -> Sequence[Shipped]:
        """The model, and the discriminator."""
        sizes = json.dumps(attrs.asdict(self.sizes), sort_keys=True)
        own, name = self.weights_file, self.preset.name
        model = Shipped(f"{own.name}.safetensors", averaged, own.architecture, {"sizes": sizes})
        if critic is None:
            return (model,)
        judge = f"mmfa-discriminator/{self.options.model.discriminator}/{name}/1"
        return model, Shipped("discriminator.safetensors", critic, judge)

    def render(self, networks: nn.Module, rows: Rows) -> Tensor:
        """Rebuild frames from the first one, absolute motion (eq. 4, 5)."""
        assert isinstance(networks, MMFAModel)
        return reconstruct(networks, rows[IMAGE], rows["rotation"], rows["shape"])

    def landmarks(self, judges: Judges) -> Callable[[Tensor], Tensor] | None:
        """The landmark network, where a loss looks through it."""
        return judges.landmarks


@torch.inference_mode()
def reconstruct(model: MMFAModel, images: Tensor, rotations: Tensor, shapes: Tensor) -> Tensor:
    """All frames but the first rebuilt from the first, absolute motion.

    images: (1 + N, 3, S, S).  rotations: (1 + N, 3, 3).  shapes: (1 + N, 107, 3).
    Gives (N, 3, S, S).
    """
    source, count = images[:1], len(images) - 1
    scale, translation = model.affine_estimator(images)
    feature = model.expression(images, shapes)
    canonical = model.keypoint_detector(source).expand(count + 1, -1, -1)
    points = model.pose(canonical, feature, rotations, scale, translation)
    frame = scale[:, None, None] * rotations
    volume = model.appearance_extractor(source).expand(count, -1, -1, -1, -1)
    still, posed, turned = (t[:1].expand(count, *t.shape[1:]) for t in (images, points, frame))
    out, _ = model.render(still, volume, posed, turned, points[1:], frame[1:])
    return out[-1]


@torch.no_grad()
def fit_pose_part(model: MMFAModel, clips: FaceClips) -> None:
    """Fit what the head's pose puts into the expressions of all clips.

    It is left at zero where e is read from images.
    """
    longer = int((clips.lengths > 1).sum())
    if model.sizes.expression_input != "shape" or not longer:
        return
    device = next(model.parameters()).device
    shapes = clips.labels["shape"].split(4096)
    feature = torch.cat([model.expression_encoder(part.to(device)).cpu() for part in shapes])
    model.expression_pose.cpu().fit(feature, clips.labels["rotation"].cpu(), clips.lengths)
    model.expression_pose.to(device)


def make_recipe(options: Options, context: Context) -> MMFARecipe:
    """The recipe. Raises ConfigError for an unknown preset."""
    return MMFARecipe(options, context)
