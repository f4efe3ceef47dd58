"""One step's forward passes and every loss of eq. 14 on a batch of pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import attrs
import torch
from torch import Tensor, nn

from mmfa_components.geometry.compose import compose_points
from mmfa_components.geometry.rotations import rotate_in_plane
from mmfa_components.geometry.squares import crop_squares
from mmfa_components.losses import adversarial
from mmfa_components.losses.equivariance import ImageTransform, equivariance_loss
from mmfa_components.losses.guide import GUIDE, guide_loss, place_loss
from mmfa_components.losses.landmarks import landmark_loss
from mmfa_components.losses.perceptual import (
    features_of,
    multi_scale_perceptual_loss,
    perceptual_loss,
)
from mmfa_components.losses.priors import deformation_prior_loss, keypoint_prior_loss
from mmfa_components.losses.recognition import recognition_loss
from mmfa_components.losses.representation import identity_loss, representation_loss
from mmfa_components.networks.critics.perceptual import PerceptualDiscriminator, judged
from mmfa_components.training.clips import Pairs
from mmfa_components.training.held_out import REGION_SIDE
from mmfa_components.training.labels import IMAGE
from mmfa_components.training.recipe import Moment
from plugins.mmfa.model import MMFAModel
from plugins.mmfa.training.judges import Judges, Recogniser
from plugins.mmfa.training.options import Options

Exhibits = tuple[list[Tensor], list[Tensor]]
"""What the discriminator is shown of driving images and results: the images, or feature maps."""


class Posed(NamedTuple):
    """What the networks of motion gave: source and driving keypoints (B, K, 3) and frames s R."""

    source: Tensor
    source_frame: Tensor
    driving: Tensor
    driving_frame: Tensor


def windowed(image: Tensor, side: int, corner: tuple[float, float]) -> Tensor:
    """The square window of ``side`` pixels of images (N, C, S, S); 0: all.

    corner: its y and x as shares of the room there is.
    """
    room = image.shape[-1] - side
    if not side or room <= 0:
        return image
    y, x = (round(share * room) for share in corner)
    return image[..., y : y + side, x : x + side]


def carried(place: Tensor, transform: ImageTransform) -> Tensor:
    """The place (N, 3) of place_loss in the transformed image."""
    moved = transform.carry_points(place[:, None, :2])[:, 0]
    return torch.cat([moved, place[:, 2:] + transform.zoom.log()[:, None]], 1)


class AnimationObjective(nn.Module):
    """Pairs to losses (eq. 14)."""

    def __init__(self, model: MMFAModel, judges: Judges, options: Options) -> None:
        super().__init__()
        self.model = model
        self.judges, self.options = judges, options  # not registered: neither trained nor saved
        self.weights = options.losses

    def forward(
        self,
        pairs: Pairs,
        transform: ImageTransform,
        moment: Moment,
        critic: nn.Module | None = None,
    ) -> tuple[Tensor, dict[str, Tensor], Exhibits | None]:
        """The weighted sum, unweighted losses by name, and what the critic is to learn from.

        transform: of eq. 15.  moment: decides by the schedule which losses are in.
        """
        schedule, weights, step = self.options.schedule, self.weights, moment.step
        images = step >= schedule.images_from
        against = images and step >= schedule.adversarial_from
        if not against or weights.adversarial + weights.feature_matching <= 0:
            critic = None
        ramp = schedule.landmark_ramp(step) if weights.landmarks else 0.0
        losses, posed = self.motion_losses(pairs, transform)
        exhibits: Exhibits | None = None
        if images:
            of_images, exhibits = self._image_losses(pairs, posed, critic, ramp, self.corner(moment))
            losses |= of_images
        return self._total(losses, ramp), losses, exhibits

    def rehearse(self, pairs: Pairs, transform: ImageTransform) -> None:
        """One forward pass through all networks."""
        losses, posed = self.motion_losses(pairs, transform)
        of_images, _ = self._image_losses(pairs, posed, None, 0.0, (0.5, 0.5))
        self._total(losses | of_images, 0.0)

    def motion_losses(self, pairs: Pairs, transform: ImageTransform) -> tuple[dict[str, Tensor], Posed]:
        """The losses on keypoints and features, and the posed keypoints."""
        weights, model, count = self.weights, self.model, len(pairs)
        source, driving = pairs.source, pairs.driving
        turned = transform.warp_image(driving[IMAGE])
        images = torch.cat([source[IMAGE], driving[IMAGE], turned])  # (3B, 3, S, S)
        turned_rotation = rotate_in_plane(driving["rotation"], -transform.angle)
        rotation = torch.cat([source["rotation"], driving["rotation"], turned_rotation])
        canonical = model.keypoint_detector(images)  # (3B, K, 3)
        scale, translation = model.affine_estimator(images)
        shapes = torch.cat([source["shape"], driving["shape"], driving["shape"]])
        feature = model.expression(images, shapes)
        canonical_s, canonical_d, canonical_t = canonical.chunk(3)
        # eq. 5: the source's x_c also poses the driving frame; eq. 15 compares driving and turned
        # frame on their own x_c
        shared = torch.cat([canonical_s, canonical_s, canonical_t, canonical_d])
        _, feature_d, feature_t = feature.chunk(3)
        delta = model.expression_decoder(torch.cat([feature, feature_d]), shared)
        own = slice(count, 2 * count)
        points = compose_points(
            shared,
            delta,
            torch.cat([rotation, rotation[own]]),
            torch.cat([scale, scale[own]]),
            torch.cat([translation, translation[own]]),
        )
        points_s, points_d, points_t, points_own = points.chunk(4)
        frame_s, frame_d, _ = (scale[:, None, None] * rotation).chunk(3)

        led = len(GUIDE) if weights.guide else 0
        centred = points_d - translation[own][:, None]
        prior = keypoint_prior_loss(canonical_s, led=led) + keypoint_prior_loss(centred, led=led)
        losses = {
            "equivariance": equivariance_loss(points_own, points_t, transform),
            "keypoint_prior": prior,
            "deformation_prior": deformation_prior_loss(delta[: 3 * count]),
            "representation": representation_loss(feature_d, feature_t, weights.centred),
            "identity": identity_loss(canonical_s, canonical_d),
        }
        if weights.guide:
            turned_guide = transform.carry_points(driving["guide"])
            guides = torch.cat([source["guide"], driving["guide"], turned_guide])
            losses["guide"] = guide_loss(torch.cat([points_s, points_d, points_t]), guides)
        if weights.place:
            turned_place = carried(driving["place"], transform)
            places = torch.cat([source["place"], driving["place"], turned_place])
            losses["place"] = place_loss(scale, translation, places)
        return losses, Posed(points_s, frame_s, points_d, frame_d)

    def corner(self, moment: Moment) -> tuple[float, float]:
        """Where the window of ``losses.window`` lies in a step, the same on every process."""
        if not self.weights.window:
            return 0.0, 0.0
        y, x = torch.rand(2, generator=moment.generator(apart=True)).tolist()
        return y, x

    def _total(self, losses: Mapping[str, Tensor], ramp: float) -> Tensor:
        parts = [self._weight(name, ramp) * value.float() for name, value in losses.items()]
        return torch.stack(parts).sum()

    def _weight(self, name: str, ramp: float) -> float:
        weight: float = getattr(self.weights, name)
        return weight * ramp if name == "landmarks" else weight

    def _image_losses(
        self,
        pairs: Pairs,
        posed: Posed,
        critic: nn.Module | None,
        ramp: float,
        corner: tuple[float, float],
    ) -> tuple[dict[str, Tensor], Exhibits | None]:
        weights, network, known = self.weights, self.judges.perceptual, None
        source, target = pairs.source[IMAGE], pairs.driving[IMAGE]
        volume = self.model.appearance_extractor(source)
        results, _ = self.model.render(source, volume, *posed)
        result, driving = (windowed(i, weights.window, corner) for i in (results[-1], target))
        exhibits: Exhibits | None = None
        if isinstance(critic, PerceptualDiscriminator):
            known = features_of(network, result, driving)
            exhibits = judged(known[1]), judged(known[0])
        elif critic is not None:
            exhibits = [driving], [result]
        coarse = multi_scale_perceptual_loss(network, results[:-1], target, weights.levels[:-1])
        finest = perceptual_loss(network, result, driving, weights.levels[-1], known)
        losses = {"perceptual": coarse + finest}
        if self.judges.face is not None and weights.face:
            losses["face"] = perceptual_loss(self.judges.face, result, driving)
        if self.judges.recogniser is not None and weights.recognition:
            losses["recognition"] = _recognition(self.judges.recogniser, results[-1], pairs)
        if critic is not None and exhibits is not None:
            with torch.no_grad():
                _, real = critic(*exhibits[0])
            scores, fake = critic(*exhibits[1])
            losses["adversarial"] = adversarial.generator_loss(scores)
            losses["feature_matching"] = adversarial.feature_matching_loss(real, fake)
        if self.judges.landmarks is not None and ramp > 0:
            losses["landmarks"] = self._landmarks(self.judges.landmarks, results[-1], pairs)
        if exhibits is None:
            return losses, None
        return losses, (exhibits[0], [shown.detach() for shown in exhibits[1]])

    def _landmarks(self, detect: Callable[[Tensor], Tensor], result: Tensor, pairs: Pairs) -> Tensor:
        region, parts = pairs.driving["region"], attrs.asdict(self.weights.landmark_parts)
        with torch.autocast(result.device.type, enabled=False):
            regions = [crop_squares(image.float(), region, REGION_SIDE) for image in (result, pairs.driving[IMAGE])]
            return landmark_loss(detect, regions[0], regions[1], parts)


def _recognition(recogniser: Recogniser, result: Tensor, pairs: Pairs) -> Tensor:
    guide = pairs.driving["guide"]
    with torch.autocast(result.device.type, enabled=False):
        faces = [recogniser.align(image, guide) for image in (result, pairs.driving[IMAGE])]
        return recognition_loss(recogniser.embed, faces[0], faces[1])
