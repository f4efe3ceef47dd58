"""All networks of face-vid2vid (Wang et al. 2021), and the two paths through them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmfa_components.geometry.compose import compose_points
from mmfa_components.networks.blocks import channels_last
from mmfa_components.networks.counting import SizeRow, count
from mmfa_components.networks.critics.patches import PatchDiscriminator
from mmfa_components.networks.generators.appearance import AppearanceExtractor
from mmfa_components.networks.generators.volume import VolumeGenerator
from mmfa_components.networks.motion.dense import DenseMotionNetwork
from mmfa_components.networks.motion.head_pose import HeadPoseEstimator
from mmfa_components.networks.motion.keypoints import KeypointDetector
from mmfa_components.networks.motion.sparse import relative_jacobian
from plugins.facevid2vid.presets import Sizes, preset

PARTS = (
    "keypoint_detector",
    "pose_estimator",
    "appearance_extractor",
    "dense_motion",
    "generator",
)


class FaceVid2VidModel(nn.Module):
    """The trained networks, under the names their tensors have in a weights file."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        s = sizes
        self.keypoint_detector = KeypointDetector(
            s.keypoints,
            s.keypoint_channels,
            s.keypoint_volume,
            s.keypoint_depth,
            s.keypoint_ups,
            s.keypoint_side,
        )
        self.pose_estimator = HeadPoseEstimator(s.keypoints, s.pose_channels, s.pose_blocks, s.pose_side)
        self.appearance_extractor = AppearanceExtractor(s.appearance_channels, s.channels, s.depth, s.appearance_blocks)
        self.dense_motion = DenseMotionNetwork(
            s.keypoints,
            s.channels,
            s.depth,
            compress=s.motion_compress,
            stem=s.motion_stem,
            widths=s.motion_channels,
            mask_kernel=s.mask_kernel,
        )
        self.generator = VolumeGenerator(s.channels, s.depth, s.generator_channels, s.generator_blocks)

    def render(
        self,
        volume: Tensor,
        source: tuple[Tensor, Tensor],
        driving: tuple[Tensor, Tensor],
    ) -> Tensor:
        """Images (N, 3, S, S) in [0, 1]; source and driving: keypoints (N, K, 3), frames (N, 3, 3)."""
        result: Tensor = self.generator(volume, *self.move(volume, source, driving))
        return result

    def move(self, volume: Tensor, source: tuple[Tensor, Tensor], driving: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Flow (N, D, H, W, 3) and occlusion (N, 1, H, W); arguments as of ``render``."""
        ratio = relative_jacobian(source[1], driving[1])
        flow, occlusion, _, _ = self.dense_motion(volume, source[0], driving[0], ratio)
        return flow, occlusion


def posed(canonical: Tensor, rotation: Tensor, scale: Tensor, translation: Tensor, deformation: Tensor) -> tuple[Tensor, Tensor]:
    """Keypoints ``x = s (R x_c + delta) + t`` (N, K, 3) (eq. 1) and frames ``s R`` (N, 3, 3).

    The paper has no scale; it is 1 in all motion that was estimated, and is there for edits. The
    deformation is added after the rotation.
    """
    points = compose_points(canonical, torch.zeros_like(canonical), rotation, scale, translation)
    return points + scale[:, None, None] * deformation, scale[:, None, None] * rotation


def discriminator(sizes: Sizes) -> PatchDiscriminator:
    """The adversary."""
    return PatchDiscriminator(sizes.discriminator_channels)


def size_table(preset_name: str = "base") -> list[SizeRow]:
    """Sizes of all networks of a preset; nothing is computed. Raises ConfigError."""
    s: Sizes = preset(preset_name).sizes
    with torch.device("meta"):
        model, judge = channels_last(FaceVid2VidModel(s).eval()), discriminator(s).eval()
        image = torch.empty(1, 3, s.image, s.image)
        side = s.image // 2 ** (len(s.appearance_channels) - 1)
        volume = torch.empty(1, s.channels, s.depth, side, side)
        points, matrix = torch.empty(1, s.keypoints, 3), torch.empty(1, 3, 3)
        flow, occlusion = torch.empty(1, s.depth, side, side, 3), torch.empty(1, 1, side, side)
        given = {
            "keypoint_detector": ((image,), "portrait"),
            "appearance_extractor": ((image,), "portrait"),
            "pose_estimator": ((image,), "driven frame"),
            "dense_motion": ((volume, points, points, matrix), "driven frame"),
            "generator": ((volume, flow, occlusion), "driven frame"),
        }
        rows = []
        for name, (inputs, per) in given.items():
            network = getattr(model, name)
            rows.append(SizeRow(name, *count(network, lambda n=network, i=inputs: n(*i)), per))  # type: ignore[misc]
        rows.append(SizeRow("discriminator", *count(judge, lambda: judge(image)), "training"))
    return rows
