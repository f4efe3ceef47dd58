"""The presets of face-vid2vid: sizes of its networks, and their weights.

``paper`` has the sizes of the paper (appendix A); ``base`` is smaller, within the cost of MMFA's
``base`` per driven frame.
"""

from __future__ import annotations

from pathlib import Path

import attrs

from mmfa_components.presets import Preset, find_preset
from mmfa_components.weights import WeightsFile

HERE = Path(__file__).parent
REVISION = 1
"""Of what the tensors of the weights files mean."""


@attrs.frozen
class Sizes:
    """All sizes of one model; widths run from fine to coarse, the generator's from coarse to fine.

    keypoints: K.  channels, depth: C and D of the appearance volume, at a quarter of the image.
    keypoint_side, pose_side: of the pictures that keypoints and pose are read from.
    """

    name: str
    image: int = 256
    keypoints: int = 20
    channels: int = 32
    depth: int = 16
    appearance_channels: tuple[int, ...] = (64, 128, 256)
    appearance_blocks: int = 6
    keypoint_side: int = 64
    keypoint_channels: tuple[int, ...] = (64, 128, 256, 512, 1024, 1024)
    keypoint_volume: int = 256
    keypoint_depth: int = 16
    keypoint_ups: tuple[int, ...] = (256, 128, 64, 32, 32)
    pose_side: int = 256
    pose_channels: tuple[int, ...] = (64, 256, 512, 1024, 2048)
    pose_blocks: int = 3
    motion_compress: int = 4
    motion_stem: int = 32
    motion_channels: tuple[int, ...] = (64, 128, 256, 512, 1024)
    mask_kernel: int = 7
    generator_channels: tuple[int, ...] = (256, 128, 64)
    generator_blocks: int = 6
    discriminator_channels: tuple[int, ...] = (64, 128, 256, 512)


PAPER = Sizes("paper")
BASE = Sizes(
    "base",
    depth=8,
    appearance_channels=(32, 64, 128),
    appearance_blocks=4,
    keypoint_channels=(32, 64, 96, 128, 192),
    keypoint_volume=48,
    keypoint_depth=8,
    keypoint_ups=(48, 32, 24),
    pose_side=128,
    pose_channels=(32, 64, 128, 192, 256),
    pose_blocks=2,
    motion_channels=(48, 96, 128, 128),
    mask_kernel=3,
    generator_channels=(160, 96, 48),
    generator_blocks=3,
    discriminator_channels=(48, 96, 192, 256),
)


def preset_of(sizes: Sizes) -> Preset:
    """The preset of these sizes, with the name of its weights file."""
    name = f"facevid2vid_{sizes.name}"
    own = 'not shipped yet: train it (model.system = "facevid2vid") and name the file in [weights]'
    path, made_for = HERE / f"{name}.safetensors", f"facevid2vid/{sizes.name}/{REVISION}"
    return Preset(sizes.name, sizes, {"animator": WeightsFile(name, path, made_for, "", "", own)})


PRESETS = {sizes.name: preset_of(sizes) for sizes in (BASE, PAPER)}


def preset(name: str) -> Preset:
    """The preset called ``name``. Raises ConfigError for an unknown name."""
    return find_preset(PRESETS, name)
