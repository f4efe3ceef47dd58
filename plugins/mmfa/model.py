"""All networks of one MMFA model, and the two paths through them.

The paths are image -> parts of the motion, and (identity, motion) -> images.
"""

from __future__ import annotations

from torch import Tensor, nn

import plugins.mmfa.presets as presets
from mmfa_components.geometry.compose import compose_points
from mmfa_components.networks.motion.sparse import relative_jacobian
from plugins.mmfa.presets import Sizes


class MMFAModel(nn.Module):
    """The trained networks of MMFA under the names their tensors have in a weights file.

    The names are ``part.layer...``.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.keypoint_detector = presets.keypoint_detector(sizes)
        self.affine_estimator = presets.affine_estimator(sizes)
        self.expression_encoder = presets.expression_encoder(sizes)
        self.expression_decoder = presets.expression_decoder(sizes)
        self.expression_pose = presets.expression_pose(sizes)  # of motions; training works on e itself
        self.appearance_extractor = presets.appearance_extractor(sizes)
        self.dense_motion = presets.dense_motion(sizes)
        self.generator = presets.generator(sizes)

    def expression(self, image: Tensor, shape: Tensor) -> Tensor:
        """Expression feature e (N, E) of faces.

        It is read from images (N, 3, S, S) or shapes (N, 107, 3), as the sizes say.
        """
        feature: Tensor = self.expression_encoder(shape if self.sizes.expression_input == "shape" else image)
        return feature

    def pose(
        self,
        canonical: Tensor,
        feature: Tensor,
        rotation: Tensor,
        scale: Tensor,
        translation: Tensor,
    ) -> Tensor:
        """Keypoints (N, K, 3) of an identity's x_c (N, K, 3) in a motion (eq. 4, 5)."""
        delta = self.expression_decoder(feature, canonical)
        return compose_points(canonical, delta, rotation, scale, translation)

    def render(
        self,
        image: Tensor,
        volume: Tensor,
        source: Tensor,
        source_frame: Tensor,
        driving: Tensor,
        driving_frame: Tensor,
    ) -> tuple[list[Tensor], Tensor]:
        """Images (three sizes) and occlusion (N, 1, H, W).

        image: (N, 3, S, S) of the source.  volume: its appearance.
        source, driving: posed keypoints (N, K, 3), with their frames ``s R`` (N, 3, 3).
        """
        flow, occlusion, hint, surface = self.dense_motion(volume, source, driving, relative_jacobian(source_frame, driving_frame))
        return self.generator(volume, flow, occlusion, hint, image, surface), occlusion


PARTS = (
    "keypoint_detector",
    "affine_estimator",
    "expression_encoder",
    "expression_decoder",
    "appearance_extractor",
    "dense_motion",
    "generator",
)
