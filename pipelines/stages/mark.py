"""Stage mark: a visible note in the corner of every frame that the picture is synthetic (paper, social impact)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

TEXT = "AI-generated"
SHARE = 0.055
"""Height of the letters as a share of the picture's shorter side, at least LEAST pixels."""
LEAST = 11


def mark_frames(rgb: Tensor, text: str = TEXT) -> Tensor:
    """Frames (n, H, W, 3) uint8 with ``text`` in the lower left corner: white letters on a dark plate, readable on any picture."""
    height, width = rgb.shape[1:3]
    plate, cover = _plate(text, max(LEAST, round(SHARE * min(height, width))), width, height)
    result = rgb.clone()
    high, wide = plate.shape[:2]
    place = result[:, height - high :, :wide].float()
    result[:, height - high :, :wide] = torch.lerp(place, plate.float(), cover).round_().to(torch.uint8)
    return result


@lru_cache(maxsize=16)
def _plate(text: str, size: int, width: int, height: int) -> tuple[Tensor, Tensor]:
    """The plate (h, w, 3) uint8 and how far it covers what lies below, (h, w, 1) in [0, 1]; never larger than the picture."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    pad = max(2, size // 3)
    image = Image.new("L", (int(right - left) + 2 * pad, int(bottom - top) + 2 * pad))
    ImageDraw.Draw(image).text((pad - left, pad - top), text, 255, font)
    if image.width > width or image.height > height:
        image.thumbnail((width, height), Image.Resampling.LANCZOS)
    letters = torch.from_numpy(np.array(image)).float()[..., None] / 255
    return (letters * 255).round().to(torch.uint8).expand(-1, -1, 3), 0.6 + 0.4 * letters
