"""Frames in 256 colours of their own, as a GIF holds them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
from av.filter import Graph

FORMAT = "pal8"


class Palette:
    """Gives each frame the palette that suits it best, with error diffusion; frame by frame, so memory does not grow."""

    def __init__(self, width: int, height: int, time_base: Fraction) -> None:
        self._graph = Graph()
        source = self._graph.add_buffer(width=width, height=height, format=av.VideoFormat("rgb24"), time_base=time_base)
        split = self._graph.add("split")
        colours = self._graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
        use = self._graph.add("paletteuse", "new=1:dither=sierra2_4a")
        sink = self._graph.add("buffersink")
        source.link_to(split)
        split.link_to(colours, 0)
        split.link_to(use, 1, 0)
        colours.link_to(use, 0, 1)
        use.link_to(sink)
        self._graph.configure()

    def __call__(self, frame: av.VideoFrame) -> Any:
        """An RGB frame with its time as one of 256 colours."""
        self._graph.push(frame)
        return self._graph.pull()
