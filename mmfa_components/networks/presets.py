"""The sizes of MMFA's networks. ``paper`` follows the public face-vid2vid line, ``base`` is the embedded default.

``base`` has smaller networks, within 12 M parameters and 30 GMAC per driven frame (``python -m plugins sizes`` prints the figures), and
differs from ``paper`` in four things that docs/training_log.md gives the reasons for: e is read from the landmarks without pose, the affine
estimator's head sees places, dense motion hands the generator a hint, and the generator sees the source image moved. ``base_image`` is
``base`` with the paper's way of reading expressions, from the image; the loss of eq. 7 has something to teach there only.
"""

from __future__ import annotations

from typing import Literal

import attrs

from mmfa_components.errors import ConfigError, did_you_mean


@attrs.frozen
class Sizes:
    """All sizes of one model.

    keypoints K and expression E are the sizes of x_c and e.  volume: channels C and depth D of the appearance volume (at a
    quarter of the image's side).  The *_channels list the widths from fine to coarse; blocks and kernels as named.
    expression_input: what e is read from, the image (the paper) or the landmarks without pose (see networks.expression.ShapeEncoder).
    expression_norm: whether features leave the encoder with mean 0 and variance 1 over all faces, so that what they share weighs nothing.
    keypoint_depth, keypoint_volume: depth and channels of the keypoint detector's 3D decoder.  keypoint_side: side of its input.
    keypoint_ups: up-samplings of its decoder.  mask_kernel: kernel of the mask convolution.  affine_side: side of the affine
    estimator's input; affine_head: whether its last features are averaged over the image, which forgets places, or taken as they lie.
    motion_hint: channels that dense motion hands to the generator beside flow and occlusion (none in the paper), for what a warp cannot
    show, such as closed eyes.  source_skip: whether the generator also sees the source image, moved (not in the paper; see
    networks.source_skip).  latent Z: size of the VAE's latent.
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
PRESETS = {"base": BASE, "base_image": BASE_IMAGE, "paper": PAPER}


def preset(name: str) -> Sizes:
    """The sizes called ``name``. Raises ConfigError for an unknown name."""
    if name not in PRESETS:
        raise ConfigError(f"no preset is called {name!r}", where="preset", fix=did_you_mean(name, PRESETS))
    return PRESETS[name]
