"""One training step of the animated networks: forward passes and every loss of eq. 14 on a batch of pairs."""

from __future__ import annotations

from collections.abc import Callable

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
from mmfa_components.losses.perceptual import features_of, multi_scale_perceptual_loss, perceptual_loss
from mmfa_components.losses.priors import deformation_prior_loss, keypoint_prior_loss
from mmfa_components.losses.recognition import recognition_loss
from mmfa_components.losses.representation import identity_loss, representation_loss
from mmfa_components.networks.critics.perceptual import PerceptualDiscriminator, judged
from pipelines.training.pairs import Pairs
from pipelines.training.recognition import Recogniser
from pipelines.training.schema import Losses
from plugins.mmfa.model import MMFAModel

REGION_SIDE = 256  # of the landmark network's input, pixels


Exhibits = tuple[list[Tensor], list[Tensor]]
"""What the discriminator is shown of the driving images and of the results: the images, or their feature maps."""


def windowed(image: Tensor, side: int, corner: tuple[float, float]) -> Tensor:
    """The square window of ``side`` pixels of images (N, C, S, S); ``corner``: its y and x as shares of the room there is. 0: all."""
    room = image.shape[-1] - side
    if not side or room <= 0:
        return image
    y, x = (round(share * room) for share in corner)
    return image[..., y : y + side, x : x + side]


def carried(place: Tensor, transform: ImageTransform) -> Tensor:
    """The place (N, 3) of place_loss in the transformed image."""
    return torch.cat([transform.carry_points(place[:, None, :2])[:, 0], place[:, 2:] + transform.zoom.log()[:, None]], 1)


@attrs.frozen(eq=False)
class Frozen:
    """The networks that judge and are not trained.

    perceptual: images (N, 3, H, W) in [0, 1] -> features (VGG).  face: the same of a face network, or None.
    landmarks: face regions (N, 3, 256, 256) -> (N, 478, 2 or more) points, differentiable in the image, or None.
    recogniser: embeds faces, or None.
    """

    perceptual: nn.Module
    face: nn.Module | None = None
    landmarks: Callable[[Tensor], Tensor] | None = None
    recogniser: Recogniser | None = None


class AnimationStep(nn.Module):
    """Pairs to losses. A module of its own, so that distributed training wraps exactly one forward pass."""

    def __init__(self, model: MMFAModel, frozen: Frozen, losses: Losses) -> None:
        super().__init__()
        self.model = model
        self.frozen, self.weights = frozen, losses  # not registered: neither trained nor saved

    def forward(
        self,
        pairs: Pairs,
        transform: ImageTransform,
        discriminator: nn.Module | None = None,
        ramp: float = 0.0,
        render: bool = True,
        corner: tuple[float, float] = (0.5, 0.5),
    ) -> tuple[Tensor, dict[str, Tensor], Exhibits | None]:
        """The weighted sum, the unweighted losses by name, and what the discriminator is to learn from (None without one).

        transform: of eq. 15.  discriminator: joins when given.  ramp: factor of the landmark loss, 0 leaves it out.  render: whether images
        are made; without them the losses are those on keypoints and features.  corner: of ``losses.window`` (see windowed).
        """
        weights, model, count = self.weights, self.model, len(pairs)
        turned = transform.warp_image(pairs.driving)
        images = torch.cat([pairs.source, pairs.driving, turned])  # (3B, 3, S, S)
        turned_rotation = rotate_in_plane(pairs.driving_rotation, -transform.angle)
        rotation = torch.cat([pairs.source_rotation, pairs.driving_rotation, turned_rotation])
        canonical = model.keypoint_detector(images)  # (3B, K, 3)
        scale, translation = model.affine_estimator(images)
        feature = model.expression(images, torch.cat([pairs.source_shape, pairs.driving_shape, pairs.driving_shape]))
        canonical_s, canonical_d, canonical_t = canonical.chunk(3)
        # eq. 5: the source's x_c also poses the driving frame; eq. 15 compares driving and turned frame on their own x_c
        shared = torch.cat([canonical_s, canonical_s, canonical_t, canonical_d])
        _, feature_d, feature_t = feature.chunk(3)
        delta = model.expression_decoder(torch.cat([feature, feature_d]), shared)
        own = slice(count, 2 * count)
        points = compose_points(
            shared, delta, torch.cat([rotation, rotation[own]]), torch.cat([scale, scale[own]]), torch.cat([translation, translation[own]])
        )
        points_s, points_d, points_t, points_own = points.chunk(4)
        frame_s, frame_d, _ = (scale[:, None, None] * rotation).chunk(3)

        led = len(GUIDE) if weights.guide else 0
        losses = {
            "equivariance": equivariance_loss(points_own, points_t, transform),
            "keypoint_prior": keypoint_prior_loss(canonical_s, led=led) + keypoint_prior_loss(points_d - translation[own][:, None], led=led),
            "deformation_prior": deformation_prior_loss(delta[: 3 * count]),
            "representation": representation_loss(feature_d, feature_t, weights.centred),
            "identity": identity_loss(canonical_s, canonical_d),
        }
        if weights.guide:
            guides = torch.cat([pairs.source_guide, pairs.driving_guide, transform.carry_points(pairs.driving_guide)])
            losses["guide"] = guide_loss(torch.cat([points_s, points_d, points_t]), guides)
        if weights.place:
            places = torch.cat([pairs.source_place, pairs.driving_place, carried(pairs.driving_place, transform)])
            losses["place"] = place_loss(scale, translation, places)
        exhibits: Exhibits | None = None
        if render:
            volume = model.appearance_extractor(pairs.source)
            results, _ = model.render(pairs.source, volume, points_s, frame_s, points_d, frame_d)
            of_images, exhibits = self._image_losses(results, pairs, discriminator, ramp, corner)
            losses |= of_images
        total = torch.stack([self._weight(name, ramp) * value.float() for name, value in losses.items()]).sum()
        return total, losses, exhibits

    def _image_losses(
        self, results: list[Tensor], pairs: Pairs, discriminator: nn.Module | None, ramp: float, corner: tuple[float, float]
    ) -> tuple[dict[str, Tensor], Exhibits | None]:
        weights, network, known = self.weights, self.frozen.perceptual, None
        result, driving = (windowed(image, weights.window, corner) for image in (results[-1], pairs.driving))
        exhibits: Exhibits | None = None
        if isinstance(discriminator, PerceptualDiscriminator):
            known = features_of(network, result, driving)
            exhibits = judged(known[1]), judged(known[0])
        elif discriminator is not None:
            exhibits = [driving], [result]
        coarse = multi_scale_perceptual_loss(network, results[:-1], pairs.driving, weights.levels[:-1])
        losses = {"perceptual": coarse + perceptual_loss(network, result, driving, weights.levels[-1], known)}
        if self.frozen.face is not None and weights.face:
            losses["face"] = perceptual_loss(self.frozen.face, result, driving)
        if self.frozen.recogniser is not None and weights.recognition:
            losses["recognition"] = self._recognition(self.frozen.recogniser, results[-1], pairs)
        if discriminator is not None and exhibits is not None:
            with torch.no_grad():
                _, real = discriminator(*exhibits[0])
            scores, fake = discriminator(*exhibits[1])
            losses["adversarial"] = adversarial.generator_loss(scores)
            losses["feature_matching"] = adversarial.feature_matching_loss(real, fake)
        if self.frozen.landmarks is not None and ramp > 0:
            losses["landmarks"] = self._landmarks(self.frozen.landmarks, results[-1], pairs)
        return losses, None if exhibits is None else (exhibits[0], [shown.detach() for shown in exhibits[1]])

    def _weight(self, name: str, ramp: float) -> float:
        weight: float = getattr(self.weights, name)
        return weight * ramp if name == "landmarks" else weight

    def _landmarks(self, detect: Callable[[Tensor], Tensor], result: Tensor, pairs: Pairs) -> Tensor:
        with torch.autocast(result.device.type, enabled=False):
            regions = [crop_squares(image.float(), pairs.driving_region, REGION_SIDE) for image in (result, pairs.driving)]
            return landmark_loss(detect, regions[0], regions[1], attrs.asdict(self.weights.landmark_parts))

    def _recognition(self, recogniser: Recogniser, result: Tensor, pairs: Pairs) -> Tensor:
        with torch.autocast(result.device.type, enabled=False):
            faces = [recogniser.align(image, pairs.driving_guide) for image in (result, pairs.driving)]
            return recognition_loss(recogniser.embed, faces[0], faces[1])
