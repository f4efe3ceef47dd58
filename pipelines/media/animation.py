"""Animated pictures (GIF, WebP, PNG, AVIF) by Pillow, which composes their frames and knows their times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.media.display import Array, over_white

ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")
"""Pillow's names of the formats that may move."""
UNIT = 1000
"""Parts of a second the times are told in."""
BRIEFEST, USUAL = 20, 100
"""Milliseconds: frames shown for less than the first are shown for the second, as browsers do."""


def is_animated(image: Image.Image) -> bool:
    """Whether an opened picture moves."""
    return image.format in ANIMATED and getattr(image, "n_frames", 1) > 1


def animation_frames(path: Path) -> Iterator[tuple[Array, int]]:
    """Frames (H, W, 3) uint8 over white, with the time they appear at in milliseconds."""
    at = 0
    with Image.open(path) as image:
        for rgba, lasts in _frames(image):
            yield over_white(np.asarray(rgba)), at
            at += lasts


def animation_times(image: Image.Image) -> list[int]:
    """How long each frame of an opened animation is shown, in milliseconds."""
    return [lasts for _, lasts in _frames(image, pictures=False)]


def _frames(image: Image.Image, pictures: bool = True) -> Iterator[tuple[Image.Image, int]]:
    first = 1 if image.info.get("default_image") else 0  # a PNG may hold a picture for those that cannot play it
    for number in range(first, getattr(image, "n_frames", 1)):
        image.seek(number)
        if pictures or image.format in ("WEBP", "AVIF"):  # these know the time of a frame once it is decoded
            image.load()
        lasts = round(float(image.info.get("duration") or 0))
        yield (image.convert("RGBA") if pictures else image), lasts if lasts >= BRIEFEST else USUAL
