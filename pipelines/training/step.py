"""One training step: the forward passes and every loss of eq. 14 on a batch of pairs."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import torch
from torch import Tensor, nn

from mmfa_components.geometry.compose import compose_points
from mmfa_components.geometry.rotations import rotate_in_plane
from mmfa_components.losses import adversarial
from mmfa_components.losses.equivariance import ImageTransform, equivariance_loss
from mmfa_components.losses.perceptual import multi_scale_perceptual_loss
from mmfa_components.losses.priors import deformation_prior_loss, keypoint_prior_loss
from mmfa_components.losses.representation import identity_loss, representation_loss
from mmfa_components.networks.model import MMFAModel
from pipelines.training.dataset import Pairs
from pipelines.training.settings import LossWeights


@attrs.frozen(eq=False)
class StepResult:
    """The unweighted losses by name, their weighted sum, and the finest result (B, 3, S, S)."""

    losses: dict[str, Tensor]
    total: Tensor
    result: Tensor


LandmarkLoss = Callable[[Tensor, Tensor, Tensor], Tensor]  # result, driving, region -> scalar


def generator_step(
    model: MMFAModel,
    vgg: nn.Module,
    pairs: Pairs,
    weights: LossWeights,
    *,
    discriminator: nn.Module | None = None,
    landmark_loss: LandmarkLoss | None = None,
) -> StepResult:
    """All losses of the animated networks; ``discriminator`` and ``landmark_loss`` join when given."""
    count = len(pairs.source)
    transform = ImageTransform.random(count, pairs.source.device)
    turned = transform.warp_image(pairs.driving)
    images = torch.cat([pairs.source, pairs.driving, turned])  # (3B, 3, S, S)
    rotation = torch.cat(
        [pairs.source_rotation, pairs.driving_rotation, rotate_in_plane(pairs.driving_rotation, -transform.angle)]
    )
    canonical = model.keypoint_detector(images)  # (3B, K, 3)
    scale, translation = model.affine_estimator(images)
    feature = model.expression_encoder(images)
    canonical_s, canonical_d, canonical_t = canonical.chunk(3)
    shared = torch.cat([canonical_s, canonical_s, canonical_t])  # eq. 5: the source's x_c also poses the driving frame
    delta = model.expression_decoder(feature, shared)
    points = compose_points(shared, delta, rotation, scale, translation)
    points_s, points_d, _ = points.chunk(3)
    frame = scale[:, None, None] * rotation
    frame_s, frame_d, _ = frame.chunk(3)

    volume = model.appearance_extractor(pairs.source)
    images_out, _ = model.render(volume, points_s, frame_s, points_d, frame_d)
    result = images_out[-1]

    # eq. 15 compares the driving frame with its own transformed copy, each on its own canonical keypoints
    _, feature_d, feature_t = feature.chunk(3)
    own = slice(count, 2 * count)
    points_own = compose_points(
        canonical_d, model.expression_decoder(feature_d, canonical_d), rotation[own], scale[own], translation[own]
    )
    losses = {
        "perceptual": multi_scale_perceptual_loss(vgg, images_out, pairs.driving),
        "equivariance": equivariance_loss(points_own, points.chunk(3)[2], transform),
        "keypoint_prior": keypoint_prior_loss(canonical_s) + keypoint_prior_loss(points_d - translation[own][:, None]),
        "deformation_prior": deformation_prior_loss(delta),
        "representation": representation_loss(feature_d, feature_t),
        "identity": identity_loss(canonical_s, canonical_d),
    }
    if discriminator is not None:
        with torch.no_grad():
            _, real = discriminator(pairs.driving)
        scores, fake = discriminator(result)
        losses["adversarial"] = adversarial.generator_loss(scores)
        losses["feature_matching"] = adversarial.feature_matching_loss(real, fake)
    if landmark_loss is not None:
        losses["landmarks"] = landmark_loss(result, pairs.driving, pairs.driving_region)
    total = torch.stack([getattr(weights, name) * value.float() for name, value in losses.items()]).sum()
    return StepResult(losses, total, result)
