"""How FOMM is trained: reconstruction, and equivariance of points and Jacobians (section 3.4)."""

from __future__ import annotations

import attrs
import torch
from attrs.validators import ge
from torch import Tensor, nn
from torch.nn import functional

from mmfa_components.kinds import Context
from mmfa_components.losses.equivariance import (
    ImageTransform,
    equivariance_loss,
    jacobian_equivariance_loss,
)
from mmfa_components.losses.priors import keypoint_prior_loss
from mmfa_components.training import reconstruction
from mmfa_components.training.clips import Pairs
from mmfa_components.training.labels import IMAGE, Rows
from mmfa_components.training.reconstruction import ReconstructionObjective, ReconstructionRecipe
from plugins.fomm.model import PARTS, FOMMModel, discriminator
from plugins.fomm.presets import preset


@attrs.frozen
class Losses(reconstruction.Losses):
    """Weights of the losses (section 3.4 and supplement).

    equivariance, jacobians: of keypoints (eq. 11) and of their Jacobians (eq. 12).
    adversarial, feature_matching: the authors' ``vox-adv`` has 1 and 10, ``vox`` neither.
    spread: keypoints that keep their distance (the keypoint prior of face-vid2vid, in 2D). Not of
        the paper, whose budget is hundreds of times ours: in a short training without it all
        keypoints follow one spot.
    """

    equivariance: float = attrs.field(default=10.0, validator=ge(0.0))
    jacobians: float = attrs.field(default=10.0, validator=ge(0.0))
    spread: float = attrs.field(default=0.0, validator=ge(0.0))


@attrs.frozen
class Options(reconstruction.Options):
    """Options of FOMM's recipe."""

    losses: Losses = attrs.field(factory=Losses)


class Objective(ReconstructionObjective):
    """Pairs to losses."""

    def __init__(self, model: FOMMModel, perceptual: nn.Module, given: Options) -> None:
        super().__init__(perceptual, given)
        self.model = model

    def rebuild(self, pairs: Pairs, transform: ImageTransform) -> tuple[Tensor, dict[str, Tensor]]:
        """The driving frame out of the source; points and Jacobians follow a warp."""
        source, driving = pairs.source[IMAGE], pairs.driving[IMAGE]
        images = torch.cat([source, driving, transform.warp_image(driving)])
        points, jacobians = self.model.keypoint_detector(images)
        (p_s, p_d, p_t), (j_s, j_d, j_t) = points.chunk(3), jacobians.chunk(3)
        features = self.model.generator.encode(source)
        result = self.model.render(source, features, (p_s, j_s), (p_d, j_d))
        return result, {
            "equivariance": equivariance_loss(p_d, p_t, transform),
            "jacobians": jacobian_equivariance_loss(j_d, j_t, p_t, transform),
            "spread": keypoint_prior_loss(functional.pad(torch.cat([p_s, p_d]), (0, 1))),
        }


class FOMMRecipe(ReconstructionRecipe):
    """How FOMM learns. Raises ConfigError for an unknown preset."""

    parts = PARTS
    compiled = ("dense_motion", "generator")

    def __init__(self, given: Options, context: Context) -> None:
        chosen = preset(given.model.preset)
        super().__init__("fomm", given, chosen, chosen.sizes.image)

    def networks(self) -> FOMMModel:
        """All networks of the preset."""
        return FOMMModel(self.sizes)

    def adversary(self) -> nn.Module:
        """Patches."""
        return discriminator(self.sizes)

    def objective(self, networks: nn.Module, judges: nn.Module) -> Objective:
        """The losses."""
        assert isinstance(networks, FOMMModel)
        assert isinstance(self.options, Options)
        return Objective(networks, judges, self.options)

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
