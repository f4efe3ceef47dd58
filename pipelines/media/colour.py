"""Colours of wide and high dynamic range video and of profiled pictures, brought to those of sRGB and BT.709.

High dynamic range is read as its makers grade it: reference white (75 % of an HLG signal, 203 cd/m2
of PQ; ITU-R BT.2408) is the white of the result, and what is brighter is pressed together below it.
"""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

BT709, PQ, HLG = 1, 16, 18
BT2020, DCI_P3, DISPLAY_P3 = 9, 11, 12
REFERENCE_WHITE = 203.0  # cd/m2
HLG_WHITE = 0.265  # scene light of 75 % of the signal
KNEE = 0.9
"""Light from which on highlights are pressed together."""
Array = np.ndarray[Any, Any]

TO_BT709 = {
    BT2020: ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187)),
    DCI_P3: ((1.2249, -0.2247, 0.0), (-0.0420, 1.0419, 0.0), (-0.0197, -0.0786, 1.0979)),
    DISPLAY_P3: ((1.2249, -0.2247, 0.0), (-0.0420, 1.0419, 0.0), (-0.0197, -0.0786, 1.0979)),
}
"""Linear light of these primaries to that of BT.709, by FFmpeg's number."""


def is_plain(primaries: int, transfer: int) -> bool:
    """Whether colours tagged so are those of BT.709, near enough, as they are."""
    return primaries not in TO_BT709 and transfer not in (PQ, HLG)


def to_bt709(signal: Array, primaries: int, transfer: int) -> Array:
    """A picture (H, W, 3) uint16 of full range, tagged with FFmpeg's numbers, as (H, W, 3) uint8 of BT.709."""
    light = _light(transfer)[signal]  # float32, 1 is white
    matrix = TO_BT709.get(BT2020 if primaries not in TO_BT709 and transfer in (PQ, HLG) else primaries)
    if matrix is not None:
        light = light @ np.asarray(matrix, np.float32).T
    light = np.clip(light, 0, None)
    if transfer in (PQ, HLG):
        most = light.max(-1, keepdims=True)
        light *= _pressed(most) / np.maximum(most, 1e-6)
    steps = np.minimum(light * 65535 + 0.5, 65535).astype(np.uint16)
    made: Array = _signal()[steps]
    return made


def _pressed(light: Array) -> Array:
    room = 1 - KNEE
    pressed: Array = np.where(light <= KNEE, light, KNEE + room * (1 - np.exp(-(light - KNEE) / room)))
    return pressed


@cache
def _light(transfer: int) -> Array:
    """Light (65536,) of a signal, 1 is white."""
    v = np.arange(65536) / 65535
    if transfer == PQ:
        p = v ** (1 / 78.84375)
        light = (np.maximum(p - 0.8359375, 0) / (18.8515625 - 18.6875 * p)) ** (1 / 0.1593017578125)
        return (light * 10000 / REFERENCE_WHITE).astype(np.float32)
    if transfer == HLG:
        scene = np.where(v <= 0.5, v * v / 3, (np.exp((v - 0.55991073) / 0.17883277) + 0.28466892) / 12)
        return (scene / HLG_WHITE).astype(np.float32)
    light = np.where(v < 0.081, v / 4.5, ((v + 0.099) / 1.099) ** (1 / 0.45))
    return light.astype(np.float32)


@cache
def _signal() -> Array:
    """BT.709 signal (65536,) uint8 of light."""
    light = np.arange(65536) / 65535
    v = np.where(light < 0.018, 4.5 * light, 1.099 * light**0.45 - 0.099)
    table: Array = np.rint(v * 255).astype(np.uint8)
    return table


def to_srgb(image: Image.Image) -> Image.Image:
    """A picture without alpha in sRGB colours, by its embedded profile; unchanged without one, or with one that cannot be used."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "CMYK", "L", "LAB"):
        return image
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in (ImageCms.getProfileDescription(own) or "").lower().replace(" ", ""):
            return image
        made = ImageCms.profileToProfile(image, own, ImageCms.createProfile("sRGB"), outputMode="RGB")
        return image if made is None else made
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
