"""The presets of FOMM: sizes of its networks, and their weights.

``paper`` has the sizes of the authors' VoxCeleb model; ``base`` is smaller, within the cost of
MMFA's ``base`` per driven frame (``mmfa plugins sizes --system fomm`` prints the figures).
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
    """All sizes of one model.

    keypoints: K.
    *_stem: channels of a U-Net's last block.  *_channels: widths from fine to coarse.
    shrink: keypoints and dense motion look at the image at a ``shrink``-th of its side.
    generator_blocks: residual blocks between encoder and decoder.
    """

    name: str
    image: int = 256
    keypoints: int = 10
    shrink: int = 4
    keypoint_stem: int = 32
    keypoint_channels: tuple[int, ...] = (64, 128, 256, 512, 1024)
    temperature: float = 0.1
    motion_stem: int = 64
    motion_channels: tuple[int, ...] = (128, 256, 512, 1024, 1024)
    generator_channels: tuple[int, ...] = (64, 128, 256)
    generator_blocks: int = 6
    discriminator_channels: tuple[int, ...] = (64, 128, 256, 512)


PAPER = Sizes("paper")
BASE = Sizes(
    "base",
    keypoint_channels=(32, 64, 96, 128, 160),
    motion_stem=48,
    motion_channels=(64, 96, 128, 160, 192),
    generator_channels=(40, 96, 192),
    generator_blocks=4,
    discriminator_channels=(48, 96, 192, 256),
)


def preset_of(sizes: Sizes) -> Preset:
    """The preset of these sizes, with the name of its weights file."""
    name = f"fomm_{sizes.name}"
    own = 'not shipped yet: train it (model.system = "fomm") and name the file in [weights]'
    file = WeightsFile(name, HERE / f"{name}.safetensors", f"fomm/{sizes.name}/{REVISION}", "", "", own)
    return Preset(sizes.name, sizes, {"animator": file})


PRESETS = {sizes.name: preset_of(sizes) for sizes in (BASE, PAPER)}


def preset(name: str) -> Preset:
    """The preset called ``name``. Raises ConfigError for an unknown name."""
    return find_preset(PRESETS, name)
