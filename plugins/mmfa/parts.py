"""MMFA's stages as components: each wraps one network, takes records and gives records."""

from __future__ import annotations

import contextlib
from typing import Any

import attrs
import torch
from torch import Tensor, nn

import plugins.mmfa.presets as presets
from mmfa_components import records as r
from mmfa_components.geometry.shape import shape_of
from mmfa_components.kinds import Context
from mmfa_components.networks.blocks import channels_last
from mmfa_components.networks.generators.multi_scale import MultiScaleGenerator
from mmfa_components.networks.motion.sparse import relative_jacobian
from mmfa_components.networks.norms import fold_norms
from mmfa_components.perception.landmarks import LandmarkRotation
from mmfa_components.weights import load_into

LARGEST_SIDE = 1024
"""Of images with the portrait's own pixels: the flow, a quarter of 256 pixels a side, says no more."""


@attrs.frozen
class PartOptions:
    """Options of every MMFA part.

    preset: sizes of the networks, "base", "base_image" or "paper".  weights: name of the weights file; "" is the preset's own.
    """

    preset: str = "base"
    weights: str = ""


class _Part:
    """Loads one or more networks of a weights file and runs them under the context's precision."""

    role = "animator"

    def __init__(self, options: PartOptions, context: Context) -> None:
        preset = presets.preset(options.preset)
        self.sizes: presets.Sizes = preset.sizes
        self.context = context
        self.weights = options.weights or preset.weights[self.role].name

    def load(self, prefix: str, network: nn.Module) -> nn.Module:
        """Load the tensors under ``prefix.`` (all for ""), fold batch norms into convolutions, move to the device. Raises WeightsError."""
        tensors = self.context.weights.read(self.weights)
        start = f"{prefix}." if prefix else ""
        own = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
        load_into(network, own, f"{self.context.weights.path(self.weights)} ({prefix or 'all'})")
        fold_norms(network.eval().requires_grad_(False))
        return channels_last(network.to(self.context.device))

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The precision to run the networks that make images in; motion is estimated in float32 always, so that it does not jitter."""
        dtype = self.context.dtype
        return torch.autocast(self.context.device.type, dtype, enabled=dtype != torch.float32)


class KeypointDetector(_Part):
    """Frames (N, 3, 256, 256) -> CanonicalKeypoints (N, K, 3)."""

    def __init__(self, options: PartOptions, context: Context) -> None:
        super().__init__(options, context)
        self.network = self.load("keypoint_detector", presets.keypoint_detector(self.sizes))

    def __call__(self, crops: r.Frames) -> r.CanonicalKeypoints:
        """Detect canonical keypoints."""
        return r.CanonicalKeypoints(self.network(crops.rgb))


class AffineEstimator(_Part):
    """Frames (N, 3, 256, 256) -> Affine."""

    def __init__(self, options: PartOptions, context: Context) -> None:
        super().__init__(options, context)
        self.network = self.load("affine_estimator", presets.affine_estimator(self.sizes))

    def __call__(self, crops: r.Frames) -> r.Affine:
        """Estimate scale and translation."""
        return r.Affine(*self.network(crops.rgb))


class ExpressionCodec(_Part):
    """Frames with their MeshLandmarks -> Expression (N, E); Expression, CanonicalKeypoints, Rotation -> Deformation (N, K, 3) (eq. 4).

    Which of both the encoder looks at is what the preset says (``expression_input``).
    """

    def __init__(self, options: PartOptions, context: Context) -> None:
        super().__init__(options, context)
        self.encoder = self.load("expression_encoder", presets.expression_encoder(self.sizes))
        self.pose = self.load("expression_pose", presets.expression_pose(self.sizes))
        self.fit: LandmarkRotation = context.build("rotation_estimator", "facemesh", {})
        self.decoder = self.load("expression_decoder", presets.expression_decoder(self.sizes))

    def encode(self, crops: r.Frames, landmarks: r.MeshLandmarks) -> r.Expression:
        """Encode the expression of images with their landmarks in pixels of them, less what the pose puts in."""
        solved = self.fit.solve(landmarks)
        seen = shape_of(self.fit.frontal(landmarks, solved)) if self.sizes.expression_input == "shape" else crops.rgb
        return r.Expression(self.encoder(seen) - self.pose(solved[0]))

    def decode(self, expression: r.Expression, canonical: r.CanonicalKeypoints, rotation: r.Rotation) -> r.Deformation:
        """Deformation of canonical keypoints in a pose; one row of ``canonical`` serves all frames."""
        points = canonical.points.expand(expression.feature.shape[0], -1, -1)
        return r.Deformation(self.decoder(expression.feature + self.pose(rotation.matrix), points))


class ExpressionVAE(_Part):
    """Expression <-> Gaussian latent (eq. 10, 12)."""

    role = "expression_vae"

    def __init__(self, options: PartOptions, context: Context) -> None:
        super().__init__(options, context)
        self.network = presets.expression_vae(self.sizes)
        self.load("", self.network)

    def encode(self, expression: r.Expression) -> r.Latent:
        """Posterior of features."""
        return r.Latent(*self.network.encode(expression.feature))

    def decode(self, latent: Tensor) -> r.Expression:
        """Features of latents (N, Z)."""
        return r.Expression(self.network.decode(latent))


class AppearanceExtractor(_Part):
    """Frames (N, 3, 256, 256) -> Appearance (N, C, D, 64, 64)."""

    def __init__(self, options: PartOptions, context: Context) -> None:
        super().__init__(options, context)
        self.network = self.load("appearance_extractor", presets.appearance_extractor(self.sizes))

    def __call__(self, crops: r.Frames) -> r.Appearance:
        """Extract the volume."""
        with self.autocast():
            return r.Appearance(self.network(crops.rgb).float(), crops.rgb)


class DenseMotion(_Part):
    """Appearance, source and driving Keypoints -> DenseMotion (eq. 1, 2). One source row serves all driving rows."""

    def __init__(self, options: PartOptions, context: Context) -> None:
        super().__init__(options, context)
        self.network = self.load("dense_motion", presets.dense_motion(self.sizes))

    def __call__(self, appearance: r.Appearance, source: r.Keypoints, driving: r.Keypoints) -> r.DenseMotion:
        """Estimate dense motion."""
        count = driving.points.shape[0]  # not len(): an export keeps shapes free, but not lengths
        volume = appearance.volume.expand(count, -1, -1, -1, -1)
        jacobian = relative_jacobian(source.frame.expand(count, -1, -1), driving.frame)
        with self.autocast():
            return r.DenseMotion(*self.network(volume, source.points.expand(count, -1, -1), driving.points, jacobian))


class Generator(_Part):
    """Appearance, DenseMotion -> Rendering."""

    def __init__(self, options: PartOptions, context: Context) -> None:
        super().__init__(options, context)
        self.network: MultiScaleGenerator = self.load("generator", presets.generator(self.sizes))  # type: ignore[assignment]
        self.largest_side = LARGEST_SIDE if self.sizes.source_skip else self.sizes.image

    def __call__(self, appearance: r.Appearance, motion: r.DenseMotion) -> r.Rendering:
        """Generate images of three sizes."""
        with self.autocast():
            return r.Rendering(*self.network(*self._seen(appearance, motion)))

    def paint(self, appearance: r.Appearance, motion: r.DenseMotion, picture: Tensor, still: Tensor) -> Tensor:
        """Images (N, 3, S, S) in [0, 1] with the source taken from a picture (1 or N, 3, S, S).

        still: (N, 1, H, W), where it alone is shown.
        """
        given = (*self._seen(appearance, motion), picture.expand(len(still), -1, -1, -1), still)
        with self.autocast():
            return self.network.paint(*given)

    def _seen(self, appearance: r.Appearance, motion: r.DenseMotion) -> tuple[Tensor, ...]:
        count = motion.occlusion.shape[0]  # not len(): see DenseMotion
        volume = appearance.volume.expand(count, -1, -1, -1, -1)
        image = appearance.image.expand(count, -1, -1, -1)
        return volume, motion.flow, motion.occlusion, motion.hint, image, motion.surface


class Discriminator(_Part):
    """Frames (N, 3, 256, 256) -> Scores; random weights until training gives it some (it is used in training only)."""

    def __init__(self, options: PartOptions, context: Context) -> None:
        super().__init__(options, context)
        self.network = presets.discriminator(self.sizes).to(context.device)
        if options.weights:
            self.load("", self.network)

    def __call__(self, crops: r.Frames) -> r.Scores:
        """Judge images."""
        return r.Scores(self.network(crops.rgb)[0])
