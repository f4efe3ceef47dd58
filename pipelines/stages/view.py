"""Stage view: at which side a result is made of the portrait's own pixels, and what of it is held still."""

from __future__ import annotations

import math
from typing import Any

import attrs
import torch
from torch import Tensor

from mmfa_components.errors import ConfigError
from mmfa_components.geometry.holding import still_map
from mmfa_components.geometry.squares import to_crop
from mmfa_components.records import FaceTrack, View
from pipelines.config.schema import Output
from pipelines.stages.components import Facts
from pipelines.stages.crop import crop_frames

VIEW_VERSION = 1
"""Raised whenever views change what comes out."""
STEP = 16
"""Sides that follow the portrait's resolution are multiples of this."""


@attrs.frozen
class Viewing:
    """What is wanted of results.

    least, most: side of the face's square in pixels; one number where they are equal, else as many
    as the portrait has there.  still: shoulders and the square's border do not move.
    """

    least: int
    most: int
    still: bool

    def side(self, squares: Tensor) -> int:
        """The side of the result of a source that is cropped by squares (4,) or (n, 4)."""
        own = math.ceil(float(squares.reshape(-1, 4)[:, 2].max()) / STEP - 0.01) * STEP
        return min(max(own, self.least), self.most)

    def key(self) -> list[Any]:
        """What stands for it in the key of a result."""
        return [VIEW_VERSION, self.least, self.most, self.still]


def viewing_of(output: Output, facts: Facts) -> Viewing | None:
    """What the output table asks of this animator; None for its own square as it is.

    Raises ConfigError when the animator cannot make results of that side.
    """
    own, most = facts.crop_size, facts.largest_side
    still = output.frame == "paste" and most > 0
    if output.side == "auto":
        return Viewing(own, max(own, most), True) if still else None
    if output.side == own:
        return Viewing(own, own, True) if still else None
    if output.side == "source" and most > own:
        return Viewing(own, most, still)
    if isinstance(output.side, int) and own < output.side <= most:
        return Viewing(output.side, output.side, still)
    name = facts.animator["name"]
    if most > own:
        able, fix = f"from {own} to {most} pixels", f'set output.side to {own} to {most}, or "source"'
    else:
        able, fix = f"of {own} pixels", 'set output.side = "auto"'
    raise ConfigError(f"animator {name!r} makes faces {able} a side, not {output.side!r}", where="output.side", fix=fix)


def view_of(rgb: Tensor, track: FaceTrack, squares: Tensor, side: int, still: bool, device: torch.device) -> View:
    """How full frames (n, H, W, 3) uint8 are shown: their crops at ``side``, in half precision, and what is still.

    track: their rows.  squares: (4,) for all frames, or (n, 4).
    """
    crops = crop_frames(rgb, squares, side, device, fill=True).rgb.half()
    if not still:
        return View(crops, torch.zeros(len(rgb), 0, 1, 1, device=device))
    points = to_crop(track.points, squares.expand(len(track), 4), 2) - 1
    return View(crops, still_map(points).to(device))
