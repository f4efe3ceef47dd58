"""How face-vid2vid is trained (section 3.3): six losses on pairs of frames of one person."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import torch
from attrs.validators import ge
from torch import Tensor, nn

from mmfa_components.geometry.rotations import matrix_to_euler
from mmfa_components.kinds import Context
from mmfa_components.losses.equivariance import ImageTransform, equivariance_loss
from mmfa_components.losses.priors import deformation_prior_loss, keypoint_prior_loss
from mmfa_components.networks.motion.head_pose import rotation_of
from mmfa_components.training import reconstruction
from mmfa_components.training.clips import Pairs
from mmfa_components.training.labels import IMAGE, ROTATION, Label, Rows
from mmfa_components.training.reconstruction import ReconstructionObjective, ReconstructionRecipe
from plugins.facevid2vid.model import PARTS, FaceVid2VidModel, discriminator, posed
from plugins.facevid2vid.presets import preset


@attrs.frozen
class Losses(reconstruction.Losses):
    """Weights of the losses, by default the paper's (whose adversary is a hinge, ours LSGAN).

    equivariance: keypoints of a warped picture.
    keypoint_prior: keypoints that spread over the face and lie at depth 0 on average.
    head_pose: angles of the frozen rotation estimator that prepared the data, in tens of degrees.
    deformation_prior: L1 norm of the deformation.
    """

    levels: int = attrs.field(default=3, validator=ge(1))
    equivariance: float = attrs.field(default=20.0, validator=ge(0.0))
    keypoint_prior: float = attrs.field(default=10.0, validator=ge(0.0))
    head_pose: float = attrs.field(default=20.0, validator=ge(0.0))
    deformation_prior: float = attrs.field(default=5.0, validator=ge(0.0))


@attrs.frozen
class Options(reconstruction.Options):
    """Options of face-vid2vid's recipe."""

    losses: Losses = attrs.field(factory=Losses)


def head_pose_loss(degrees: Tensor, rotation: Tensor) -> Tensor:
    """Mean absolute difference of angles (N, 3) from those of rotations (N, 3, 3), in 10 degrees."""
    wanted = torch.rad2deg(torch.stack(matrix_to_euler(rotation), -1)).clamp(-90, 90)
    return (degrees - wanted).abs().mean() / 10


class Objective(ReconstructionObjective):
    """Pairs to losses."""

    def __init__(self, model: FaceVid2VidModel, perceptual: nn.Module, given: Options) -> None:
        super().__init__(perceptual, given)
        self.model = model

    def rebuild(self, pairs: Pairs, transform: ImageTransform) -> tuple[Tensor, dict[str, Tensor]]:
        """The driving frame out of the source, in the driving frame's pose and deformation."""
        model, source, driving = self.model, pairs.source[IMAGE], pairs.driving[IMAGE]
        images = torch.cat([source, driving, transform.warp_image(driving)])
        canonical = model.keypoint_detector(images)
        degrees, translation, deformation = model.pose_estimator(images)
        c_s, c_d, c_t = canonical.chunk(3)
        given = rotation_of(degrees), torch.ones_like(translation[:, 0]), translation, deformation
        # the source's keypoints are posed as the driving frame, too
        points, frames = posed(torch.cat([c_s, c_s, c_t]), *given)
        own, _ = posed(c_d, *(t.chunk(3)[1] for t in given))
        (p_s, p_d, p_t), (f_s, f_d, _) = points.chunk(3), frames.chunk(3)
        poses = torch.cat([pairs.source["rotation"], pairs.driving["rotation"]])
        result = model.render(model.appearance_extractor(source), (p_s, f_s), (p_d, f_d))
        return result, {
            "equivariance": equivariance_loss(own, p_t, transform),
            "keypoint_prior": keypoint_prior_loss(c_s) + keypoint_prior_loss(p_d),
            "head_pose": head_pose_loss(degrees[: len(poses)], poses),
            "deformation_prior": deformation_prior_loss(deformation),
        }


class FaceVid2VidRecipe(ReconstructionRecipe):
    """How face-vid2vid learns. Raises ConfigError for an unknown preset."""

    parts = PARTS
    compiled = ("appearance_extractor", "dense_motion", "generator")

    def __init__(self, given: Options, context: Context) -> None:
        chosen = preset(given.model.preset)
        super().__init__("facevid2vid", given, chosen, chosen.sizes.image)

    @property
    def labels(self) -> Mapping[str, Label]:
        """The head's rotation, by the frozen estimator."""
        return {"rotation": ROTATION}

    def networks(self) -> FaceVid2VidModel:
        """All networks of the preset."""
        return FaceVid2VidModel(self.sizes)

    def adversary(self) -> nn.Module:
        """Patches."""
        return discriminator(self.sizes)

    def objective(self, networks: nn.Module, judges: nn.Module) -> Objective:
        """The losses."""
        assert isinstance(networks, FaceVid2VidModel)
        assert isinstance(self.options, Options)
        return Objective(networks, judges, self.options)

    @torch.inference_mode()
    def render(self, networks: nn.Module, rows: Rows) -> Tensor:
        """Rebuild frames from the first one, absolute motion."""
        assert isinstance(networks, FaceVid2VidModel)
        images = rows[IMAGE]
        degrees, translation, deformation = networks.pose_estimator(images)
        canonical = networks.keypoint_detector(images[:1]).expand(len(images), -1, -1)
        scale = torch.ones_like(translation[:, 0])
        points, frames = posed(canonical, rotation_of(degrees), scale, translation, deformation)
        count = len(images) - 1
        volume = networks.appearance_extractor(images[:1]).expand(count, -1, -1, -1, -1)
        first = points[:1].expand(count, -1, -1), frames[:1].expand(count, -1, -1)
        return networks.render(volume, first, (points[1:], frames[1:]))
