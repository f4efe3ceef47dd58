"""All networks of one MMFA model, and the two paths through them: image -> motion parts, and (identity, motion) -> images."""

from __future__ import annotations

from torch import Tensor, nn

from mmfa_components.geometry.apply import apply_matrix
from mmfa_components.geometry.compose import compose_points
from mmfa_components.networks.affine import AffineEstimator
from mmfa_components.networks.appearance import AppearanceExtractor
from mmfa_components.networks.dense_motion import DenseMotionNetwork
from mmfa_components.networks.expression import ExpressionDecoder, PosePart, expression_encoder
from mmfa_components.networks.generator import MultiScaleGenerator
from mmfa_components.networks.keypoint_detector import KeypointDetector
from mmfa_components.networks.presets import Sizes


def relative_jacobian(source_frame: Tensor, driving_frame: Tensor) -> Tensor:
    """``J_s J_d^-1`` (N, 3, 3) of frames ``s R`` (N, 3, 3) (eq. 1); the inverse of ``s R`` is its transpose over s squared."""
    squared = driving_frame.square().sum((1, 2), keepdim=True) / 3  # s^2: (N, 1, 1)
    return apply_matrix(driving_frame, source_frame) / squared  # rows of J_s through J_d: J_s J_d^T


class MMFAModel(nn.Module):
    """The trained networks of MMFA under the names their tensors have in a weights file (``part.layer...``)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.keypoint_detector = KeypointDetector(sizes)
        self.affine_estimator = AffineEstimator(sizes)
        self.expression_encoder = expression_encoder(sizes)
        self.expression_decoder = ExpressionDecoder(sizes)
        self.expression_pose = PosePart(sizes)  # of motions; training works on e itself
        self.appearance_extractor = AppearanceExtractor(sizes)
        self.dense_motion = DenseMotionNetwork(sizes)
        self.generator = MultiScaleGenerator(sizes)

    def expression(self, image: Tensor, shape: Tensor) -> Tensor:
        """Expression feature e (N, E) of faces, read from images (N, 3, S, S) or shapes (N, 107, 3), whichever this model is made for."""
        feature: Tensor = self.expression_encoder(shape if self.sizes.expression_input == "shape" else image)
        return feature

    def pose(self, canonical: Tensor, feature: Tensor, rotation: Tensor, scale: Tensor, translation: Tensor) -> Tensor:
        """Keypoints (N, K, 3) of an identity's x_c (N, K, 3) in a motion (eq. 4, 5)."""
        delta = self.expression_decoder(feature, canonical)
        return compose_points(canonical, delta, rotation, scale, translation)

    def render(
        self, image: Tensor, volume: Tensor, source: Tensor, source_frame: Tensor, driving: Tensor, driving_frame: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        """Images (three sizes) and occlusion from a source image, its volume, and posed keypoints with their frames ``s R``."""
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
