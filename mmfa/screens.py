"""Where live frames go: a window, a video file, or raw frames on standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from mmfa.cameras import opencv
from mmfa.jobs import output_of
from mmfa.pictures import Array
from mmfa_components.errors import OutputError, PackageError
from pipelines.config.schema import Output
from pipelines.media import VideoWriter
from pipelines.runs.foreign import refuse_foreign

TITLE = "MMFA live"
KEYS = "n neutral   m mirror   r start again   q quit"
TICKS = 1000
"""Units of a second in which the frames of a file are timed."""
LEAST = 512
"""Pixels of the shorter side of the window at least."""


class Screen(Protocol):
    """Takes the frames that come out."""

    def show(self, frame: Array, seconds: float, text: str) -> str:
        """Show a frame (H, W, 3) uint8 and a line about it; gives the key pressed, or ""."""
        ...

    def close(self) -> None:
        """Finish."""
        ...


class Window:
    """A window on the screen, by OpenCV.

    Raises PackageError when there is no OpenCV with windows, OutputError without a screen.
    """

    def __init__(self) -> None:
        self._cv2 = opencv("a window")
        if sys.platform.startswith("linux") and not (
            os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        ):
            fix = "write a file with -o out.mp4, or raw frames with -o -"
            raise OutputError("there is no screen to open a window on", where="mmfa live", fix=fix)
        try:
            self._cv2.namedWindow(TITLE, self._cv2.WINDOW_NORMAL)
        except self._cv2.error as error:
            fix = "pip install opencv-python (opencv-python-headless has none), or write with -o"
            what = "this OpenCV has no windows"
            raise PackageError(what, where="mmfa live", fix=fix) from error

    def show(self, frame: Array, seconds: float, text: str) -> str:
        """See Screen."""
        picture = with_lines(frame, (text, KEYS))
        self._cv2.imshow(TITLE, self._cv2.cvtColor(picture, self._cv2.COLOR_RGB2BGR))
        key = self._cv2.waitKey(1) & 0xFF
        if key == 27 or self._cv2.getWindowProperty(TITLE, self._cv2.WND_PROP_VISIBLE) < 1:
            return "q"
        return chr(key) if key < 128 else ""

    def close(self) -> None:
        """See Screen."""
        self._cv2.destroyAllWindows()


class FileScreen:
    """A video file. notes: what it says of itself. Raises ConfigError or OutputError."""

    def __init__(
        self, path: Path, size: tuple[int, int], rate: Fraction, notes: Mapping[str, str]
    ) -> None:
        refuse_foreign(path, "name another file with -o")
        output = output_of(Output(), path)
        width, height = size
        self._last = -1
        self._writer = VideoWriter(
            path, width, height, Fraction(1, TICKS), rate, output.codec, output.quality, None, notes
        )
        self._writer.__enter__()

    def show(self, frame: Array, seconds: float, text: str) -> str:
        """See Screen."""
        self._last = max(self._last + 1, round(seconds * TICKS))
        self._writer.write(torch.from_numpy(frame)[None], [self._last])
        return ""

    def close(self) -> None:
        """See Screen. After an error that is being handled nothing is left."""
        self._writer.__exit__(*sys.exc_info())


class RawScreen:
    """Frames of 3 bytes a pixel (rgb24) for the next program in a pipe."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream

    def show(self, frame: Array, seconds: float, text: str) -> str:
        """See Screen. Raises BrokenPipeError when the next program has ended."""
        self.stream.write(np.ascontiguousarray(frame).tobytes())
        self.stream.flush()
        return ""

    def close(self) -> None:
        """See Screen."""


def with_lines(frame: Array, lines: tuple[str, ...]) -> Array:
    """A frame, at least LEAST pixels large, with lines of text below it."""
    image: Any = Image.fromarray(frame)
    factor = max(1.0, LEAST / min(image.size))
    image = image.resize((round(image.width * factor), round(image.height * factor)))
    font, step = ImageFont.load_default(16), 24
    whole = Image.new("RGB", (image.width, image.height + step * len(lines) + 8), (24, 24, 24))
    whole.paste(image)
    draw = ImageDraw.Draw(whole)
    for number, line in enumerate(lines):
        draw.text((10, image.height + 6 + step * number), line, (230, 230, 230), font)
    return np.asarray(whole)
