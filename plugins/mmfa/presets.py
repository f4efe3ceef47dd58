"""The presets of MMFA: sizes of its networks, the networks of these sizes, and their weights.

``paper`` follows the public face-vid2vid line, ``base`` is the embedded default. ``base`` has
smaller networks, within 12 M parameters and 30 GMAC per driven frame (``mmfa plugins sizes``
prints the figures), and differs from ``paper`` in four things that docs/training_log.md gives the
reasons for: e is read from the landmarks without pose, the affine estimator's head sees places,
dense motion hands the generator a hint, and the generator sees the source image moved.
``base_image`` is ``base`` with the paper's way of reading expressions, from the image; the loss of
eq. 7 has something to teach there only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs
from torch import nn

from mmfa_components.geometry.shape import SHAPE_POINTS
from mmfa_components.networks.critics.features import FeatureDiscriminator
from mmfa_components.networks.critics.patches import PatchDiscriminator
from mmfa_components.networks.expression.codec import (
    ExpressionDecoder,
    ExpressionEncoder,
    PosePart,
    ShapeEncoder,
)
from mmfa_components.networks.expression.vae import ExpressionVAE
from mmfa_components.networks.generators.appearance import AppearanceExtractor
from mmfa_components.networks.generators.multi_scale import MultiScaleGenerator
from mmfa_components.networks.motion.affine import AffineEstimator
from mmfa_components.networks.motion.dense import DenseMotionNetwork
from mmfa_components.networks.motion.keypoints import KeypointDetector
from mmfa_components.presets import Preset, find_preset
from mmfa_components.weights import WeightsFile

HERE = Path(__file__).parent
REVISION = 3
"""Of what the tensors of the animator's weights files mean."""
VAE_REVISION = 1
SHIPPED = {
    "mmfa_base": "451d6914223c737b236cd4253a8655459c999ae00efc419b18ada27a9d65fae2",
    "mmfa_vae_base": "98392c3fabed0b2deb7673ab6568255b11c09344399829bc439db1bebc001d9a",
}
"""Digests of the weights files in this folder, by name."""
LICENCE = "research use, not commercial (LicenseRef-MMFA-Weights, file LICENSE-WEIGHTS)"


@attrs.frozen
class Sizes:
    """All sizes of one model.

    keypoints, expression: K and E, the sizes of x_c and e.
    volume_channels, volume_depth: C and D of the appearance volume, at a quarter of the image.
    *_channels: widths from fine to coarse; blocks and kernels as named.
    expression_input: what e is read from, the image (the paper) or the landmarks without pose
        (networks.expression.codec.ShapeEncoder).
    expression_norm: whether features leave the encoder with mean 0 and variance 1 over all faces.
    keypoint_depth, keypoint_volume: depth and channels of the keypoint detector's 3D decoder.
    keypoint_side: side of its input.  keypoint_ups: channels of its up-samplings.
    mask_kernel: kernel of the mask convolution.
    affine_side: side of the affine estimator's input.
    affine_head: whether its last features are averaged over the image, which forgets places, or
        taken as they lie.
    motion_hint: channels that dense motion hands to the generator beside flow and occlusion (none
        in the paper), for what a warp cannot show, such as closed eyes.
    source_skip: whether the generator also sees the source image, moved (not in the paper; see
        networks.generators.source_skip).
    latent: Z, the size of the VAE's latent.
    """

    name: str
    image: int = 256
    keypoints: int = 20
    expression: int = 64
    volume_channels: int = 32
    volume_depth: int = 8
    appearance_channels: tuple[int, ...] = (32, 64, 128)
    appearance_blocks: int = 4
    keypoint_side: int = 64
    keypoint_channels: tuple[int, ...] = (32, 64, 128, 192, 256)
    keypoint_volume: int = 48
    keypoint_depth: int = 8
    keypoint_ups: tuple[int, ...] = (48, 32, 24)
    keypoint_temperature: float = 0.1
    affine_side: int = 128
    affine_channels: tuple[int, ...] = (32, 64, 128, 192, 256)
    affine_blocks: int = 1
    affine_head: Literal["mean", "grid"] = "mean"
    expression_channels: tuple[int, ...] = (48, 96, 160, 256, 384)
    expression_blocks: int = 2
    expression_hidden: tuple[int, ...] = (256, 256)
    expression_norm: bool = False
    expression_input: Literal["image", "shape"] = "image"
    motion_compress: int = 4
    motion_stem: int = 32
    motion_channels: tuple[int, ...] = (48, 96, 128, 160)
    mask_kernel: int = 3
    motion_variance: float = 0.01
    motion_hint: int = 0
    source_skip: bool = False
    generator_channels: tuple[int, int, int] = (160, 96, 48)
    generator_blocks: tuple[int, int, int] = (2, 1, 1)
    discriminator_channels: tuple[int, ...] = (48, 96, 192, 256)
    latent: int = 32
    vae_hidden: tuple[int, ...] = (256, 256, 256)

    @property
    def volume_side(self) -> int:
        """Side H = W of the appearance volume."""
        return int(self.image // 2 ** (len(self.appearance_channels) - 1))


BASE = Sizes("base", affine_head="grid", motion_hint=32, source_skip=True, expression_input="shape")
PAPER = Sizes(
    "paper",
    keypoints=15,
    expression=128,
    volume_depth=16,
    appearance_channels=(64, 128, 256),
    appearance_blocks=6,
    keypoint_channels=(64, 128, 256, 512, 1024, 1024),
    keypoint_volume=256,
    keypoint_depth=16,
    keypoint_ups=(256, 128, 64, 32, 32),
    affine_side=256,
    affine_channels=(64, 256, 512, 1024, 2048),
    affine_blocks=3,
    expression_channels=(64, 256, 512, 1024, 2048),
    expression_blocks=3,
    expression_hidden=(512, 512, 512),
    motion_stem=64,
    motion_channels=(64, 128, 256, 512, 512),
    mask_kernel=7,
    generator_channels=(256, 128, 64),
    generator_blocks=(6, 2, 1),
    discriminator_channels=(64, 128, 256, 512),
)
BASE_IMAGE = attrs.evolve(BASE, name="base_image", expression_input="image", expression_norm=True)


def keypoint_detector(s: Sizes) -> KeypointDetector:
    """The network that finds the canonical keypoints."""
    return KeypointDetector(
        s.keypoints,
        s.keypoint_channels,
        s.keypoint_volume,
        s.keypoint_depth,
        s.keypoint_ups,
        s.keypoint_side,
        s.keypoint_temperature,
    )


def affine_estimator(s: Sizes) -> AffineEstimator:
    """The network that estimates scale and translation."""
    grid = s.affine_head == "grid"
    return AffineEstimator(s.affine_channels, s.affine_blocks, s.affine_side, grid)


def expression_encoder(s: Sizes) -> nn.Module:
    """The encoder that ``expression_input`` names."""
    if s.expression_input == "shape":
        return ShapeEncoder(s.expression, len(SHAPE_POINTS), s.expression_hidden)
    return ExpressionEncoder(s.expression, s.image, s.expression_channels, s.expression_blocks, s.expression_norm)


def expression_decoder(s: Sizes) -> ExpressionDecoder:
    """The network that makes deformations of expressions."""
    return ExpressionDecoder(s.expression, s.keypoints, s.expression_hidden)


def expression_pose(s: Sizes) -> PosePart:
    """What the head's pose puts into expressions."""
    return PosePart(s.expression)


def appearance_extractor(s: Sizes) -> AppearanceExtractor:
    """The network that makes the appearance volume."""
    return AppearanceExtractor(s.appearance_channels, s.volume_channels, s.volume_depth, s.appearance_blocks)


def dense_motion(s: Sizes) -> DenseMotionNetwork:
    """The network that makes dense motion of sparse motions."""
    return DenseMotionNetwork(
        s.keypoints,
        s.volume_channels,
        s.volume_depth,
        compress=s.motion_compress,
        stem=s.motion_stem,
        widths=s.motion_channels,
        mask_kernel=s.mask_kernel,
        variance=s.motion_variance,
        hint=s.motion_hint,
        surface=s.source_skip,
    )


def generator(s: Sizes) -> MultiScaleGenerator:
    """The network that makes the images."""
    return MultiScaleGenerator(
        s.volume_channels,
        s.volume_depth,
        s.generator_channels,
        s.generator_blocks,
        hint=s.motion_hint,
        source_skip=s.source_skip,
    )


def discriminator(s: Sizes) -> PatchDiscriminator:
    """The adversary that judges pixels (A.2)."""
    return PatchDiscriminator(s.discriminator_channels)


def expression_vae(s: Sizes) -> ExpressionVAE:
    """The latent space of expressions."""
    return ExpressionVAE(s.expression, s.latent, s.vae_hidden)


def expression_critic(s: Sizes) -> FeatureDiscriminator:
    """The adversary of the latent space's training."""
    return FeatureDiscriminator(s.expression, s.vae_hidden[0])


def preset_of(sizes: Sizes) -> Preset:
    """The preset of these sizes, with the names of its weights files."""
    return Preset(
        sizes.name,
        sizes,
        {
            "animator": _file(f"mmfa_{sizes.name}", f"mmfa/{sizes.name}/{REVISION}"),
            "expression_vae": _file(f"mmfa_vae_{sizes.name}", f"mmfa-vae/{sizes.name}/{VAE_REVISION}"),
        },
    )


def _file(name: str, architecture: str) -> WeightsFile:
    digest = SHIPPED.get(name, "")
    own = "train it (mmfa run train) and name the file in [weights]"
    origin = "trained by this project" if digest else f"not shipped: {own}"
    path = HERE / f"{name}.safetensors"
    return WeightsFile(name, path, architecture, digest, LICENCE if digest else "", origin)


PRESETS = {sizes.name: preset_of(sizes) for sizes in (BASE, BASE_IMAGE, PAPER)}


def preset(name: str) -> Preset:
    """The preset called ``name``. Raises ConfigError for an unknown name."""
    return find_preset(PRESETS, name)
