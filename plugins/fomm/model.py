"""All networks of FOMM (Siarohin et al. 2019), and the two paths through them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmfa_components.networks.counting import SizeRow, count
from mmfa_components.networks.critics.patches import PatchDiscriminator
from mmfa_components.networks.generators.occlusion_aware import OcclusionAwareGenerator
from mmfa_components.networks.motion.dense_2d import DenseMotion2D
from mmfa_components.networks.motion.keypoints_2d import KeypointJacobianDetector
from plugins.fomm.presets import Sizes, preset

PARTS = ("keypoint_detector", "dense_motion", "generator")


class FOMMModel(nn.Module):
    """The trained networks, under the names their tensors have in a weights file."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        s = sizes
        self.keypoint_detector = KeypointJacobianDetector(s.keypoints, s.keypoint_stem, s.keypoint_channels, s.shrink, s.temperature)
        self.dense_motion = DenseMotion2D(s.keypoints, s.motion_stem, s.motion_channels, s.shrink)
        self.generator = OcclusionAwareGenerator(s.generator_channels, s.generator_blocks)

    def render(
        self,
        image: Tensor,
        features: Tensor,
        source: tuple[Tensor, Tensor],
        driving: tuple[Tensor, Tensor],
    ) -> Tensor:
        """Images (N, 3, S, S) in [0, 1] of a source moved from one motion to another.

        image: (N, 3, S, S) of the source.  features: of the generator's ``encode``.
        source, driving: keypoints (N, K, 2) and Jacobians (N, K, 2, 2).
        """
        result: Tensor = self.generator(features, *self.move(image, source, driving))
        return result

    def move(self, image: Tensor, source: tuple[Tensor, Tensor], driving: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Flow (N, h, w, 2) and occlusion (N, 1, h, w) between two motions; arguments as of ``render``."""
        with torch.autocast(image.device.type, enabled=False):
            ratio = source[1].float() @ torch.linalg.inv(driving[1].float())  # J_s J_d^-1
        flow, occlusion = self.dense_motion(image, source[0], driving[0], ratio)
        return flow, occlusion


def discriminator(sizes: Sizes) -> PatchDiscriminator:
    """The adversary."""
    return PatchDiscriminator(sizes.discriminator_channels)


def size_table(preset_name: str = "base") -> list[SizeRow]:
    """Sizes of all networks of a preset; nothing is computed. Raises ConfigError."""
    s: Sizes = preset(preset_name).sizes
    with torch.device("meta"):
        model, judge = FOMMModel(s).eval(), discriminator(s).eval()
        image = torch.empty(1, 3, s.image, s.image)
        points, local = torch.empty(1, s.keypoints, 2), torch.empty(1, s.keypoints, 2, 2)
        side = s.image // 2 ** (len(s.generator_channels) - 1)
        features = torch.empty(1, s.generator_channels[-1], side, side)
        flow, occlusion = torch.empty(1, side, side, 2), torch.empty(1, 1, side, side)
        generator = model.generator
        runs = (
            ("keypoint_detector", model.keypoint_detector, (image,), "driven frame"),
            ("dense_motion", model.dense_motion, (image, points, points, local), "driven frame"),
            ("generator", generator, (features, flow, occlusion), "driven frame"),
            ("discriminator", judge, (image,), "training"),
        )
        rows = [
            SizeRow(name, *count(net, lambda net=net, given=given: net(*given)), per)  # type: ignore[misc]
            for name, net, given, per in runs
        ]
        _, encoder = count(generator, lambda: generator.encode(image))
    return [*rows, SizeRow("generator.encode", 0, encoder, "portrait")]
