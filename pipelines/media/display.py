"""How a decoded frame is shown: upright, of square pixels, of one size, in sRGB colours, opaque. All of it is applied here and nowhere else."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Any

import attrs
import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from pipelines.media.colour import HLG, PQ, is_plain, to_bt709

UNSPECIFIED = 2
MATRICES = {1: Colorspace.ITU709, 4: Colorspace.FCC, 7: Colorspace.SMPTE240M, 9: Colorspace.BT2020, 10: Colorspace.BT2020}
"""By FFmpeg's number; all others are read as BT.601."""
WIDEST = 4
"""Pixels longer than this, one way or the other, are taken for square: a fault of the file."""
SAME_SHAPE = 0.03
"""Difference of two ratios of width to height up to which a picture of another size is stretched to fit."""
Array = np.ndarray[Any, Any]


@attrs.frozen
class Orientation:
    """One of the eight ways a stored picture may lie: rows and columns exchanged, then mirrored."""

    transposed: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    def apply(self, rgb: Array) -> Array:
        """A stored picture (H, W, 3) as it is shown."""
        shown = rgb.transpose(1, 0, 2) if self.transposed else rgb
        shown = shown[:, ::-1] if self.mirror_x else shown
        shown = shown[::-1] if self.mirror_y else shown
        return np.ascontiguousarray(shown)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height as shown (or back: it is its own inverse)."""
        return (height, width) if self.transposed else (width, height)


def orientation_of(frame: Any) -> Orientation:
    """How a frame is to be turned and mirrored, by its display matrix; a turn by other angles counts as the nearest."""
    for item in frame.side_data:
        if item.type == Type.DISPLAYMATRIX:
            a, b, _, c, d = struct.unpack_from("=5i", bytes(item))
            if abs(a) + abs(d) >= abs(b) + abs(c):
                return Orientation(False, a < 0, d < 0)
            return Orientation(True, c < 0, b < 0)
    return Orientation()


def pixel_shape(stream: Any) -> Fraction:
    """Width of a stored pixel over its height; 1 where the file says nothing, or nonsense."""
    shape = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    if not shape or not Fraction(1, WIDEST) <= shape <= WIDEST:
        return Fraction(1)
    return Fraction(shape)


def shown_size(frame: Any, shape: Fraction) -> tuple[int, int]:
    """Width and height of a frame with square pixels, upright; no side becomes shorter."""
    width, height = frame.width, frame.height
    if shape > 1:
        width = round(width * shape)
    elif shape < 1:
        height = round(height / shape)
    return orientation_of(frame).size(width, height)


class Display:
    """Shows the frames of one clip.

    width, height: of every picture. A frame of another size is made to fit; where its shape is
    another too, it lies in the middle of a black picture.  shape: of the stored pixels.
    """

    def __init__(self, width: int, height: int, shape: Fraction = Fraction(1)) -> None:
        self.size, self.shape = (width, height), shape
        self._convert = VideoReformatter()  # kept: made anew for each frame it would start a thread for every core

    def rgb(self, frame: Any) -> Array:
        """A decoded frame as (height, width, 3) uint8."""
        way = orientation_of(frame)
        shown = way.apply(self._colours(frame, way.size(*self._inner(frame))))
        if (shown.shape[1], shown.shape[0]) == self.size:
            return shown
        whole = np.zeros((self.size[1], self.size[0], 3), np.uint8)
        y, x = (self.size[1] - shown.shape[0]) // 2, (self.size[0] - shown.shape[1]) // 2
        whole[y : y + shown.shape[0], x : x + shown.shape[1]] = shown
        return whole

    def _inner(self, frame: Any) -> tuple[int, int]:
        """Size of the frame within the picture."""
        width, height = shown_size(frame, self.shape)
        if (width, height) == self.size:
            return self.size
        ratio = (width / height) / (self.size[0] / self.size[1])
        if abs(ratio - 1) <= SAME_SHAPE:
            return self.size
        factor = min(self.size[0] / width, self.size[1] / height)
        return max(1, min(self.size[0], round(width * factor))), max(1, min(self.size[1], round(height * factor)))

    def _colours(self, frame: Any, size: tuple[int, int]) -> Array:
        """The stored frame (h, w, 3) uint8 at ``size``; matrix and range as tagged, by its height where they are not."""
        primaries, transfer = int(frame.color_primaries), int(frame.color_trc)
        plain = frame.format.is_rgb or is_plain(primaries, transfer)
        clear = any(c.is_alpha for c in frame.format.components)
        source = None if frame.format.is_rgb else self._matrix(frame, transfer)
        resized = {"width": size[0], "height": size[1], "interpolation": Interpolation.BICUBIC} if size != (frame.width, frame.height) else {}
        made = self._convert.reformat(
            frame,
            format="rgba" if clear else "rgb24" if plain else "rgb48le",
            src_colorspace=source,
            dst_colorspace=source,
            dst_color_range=ColorRange.JPEG,
            threads=1,
            **resized,
        ).to_ndarray()
        if clear:
            return over_white(made)
        return made if plain else to_bt709(made, primaries, transfer)

    @staticmethod
    def _matrix(frame: Any, transfer: int) -> Colorspace:
        matrix = int(frame.colorspace)
        if matrix == UNSPECIFIED:
            if transfer in (PQ, HLG):
                return Colorspace.BT2020
            return Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601
        return MATRICES.get(matrix, Colorspace.ITU601)


def over_white(rgba: Array) -> Array:
    """A picture (H, W, 4) uint8 over white, (H, W, 3): videos have no transparency. One without any opaque pixel is taken for opaque."""
    alpha = rgba[..., 3:].astype(np.uint16)
    if not alpha.any():
        return np.ascontiguousarray(rgba[..., :3])
    mixed = (rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
    return mixed.astype(np.uint8)
