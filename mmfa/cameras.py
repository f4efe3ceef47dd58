"""Where live frames come from: a camera, a video file, or raw frames on standard input."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import attrs
import numpy as np

from mmfa.pictures import Array
from mmfa_components.errors import ConfigError, MediaError, PackageError
from pipelines.media import open_video

PATIENCE = 10.0
"""Seconds a camera may take for its next frame."""


@attrs.frozen(eq=False)
class Shot:
    """One frame. rgb: (H, W, 3) uint8.  seconds: when it was taken, on a clock that rises.

    arrived: ``time.monotonic()`` when it could be had.
    """

    rgb: Array
    seconds: float
    arrived: float


class Camera(Protocol):
    """A source of frames. dropped: frames that were passed over because newer ones were there."""

    dropped: int

    def shots(self) -> Iterator[Shot]:
        """The frames, until there are no more."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Device:
    """A camera of this machine, by OpenCV; only the newest frame is kept.

    Raises PackageError when OpenCV is not installed, MediaError when the camera cannot be opened.
    """

    def __init__(self, number: int) -> None:
        cv2 = opencv("a camera")
        self._cv2, self._number, self.dropped = cv2, number, 0
        self._opened = cv2.VideoCapture(number)
        if not self._opened.isOpened():
            fix = "check that it is connected and not in use, or try another number: --camera 1"
            raise MediaError("cannot be opened", where=f"camera {number}", fix=fix)
        self._newest = _Newest()
        self._ended = threading.Event()
        self._reader = threading.Thread(target=self._read, name="mmfa-camera", daemon=True)
        self._reader.start()

    def shots(self) -> Iterator[Shot]:
        """See Camera. Raises MediaError when the camera gives no more frames."""
        while True:
            shot, missed = self._newest.take(PATIENCE)
            self.dropped += missed
            if shot is None:
                fix = "check that it is connected and not in use by another program"
                raise MediaError("gives no frames", where=f"camera {self._number}", fix=fix)
            yield shot

    def close(self) -> None:
        """See Camera."""
        self._ended.set()
        self._reader.join(2.0)
        self._opened.release()

    def _read(self) -> None:
        while not self._ended.is_set():
            there, bgr = self._opened.read()
            now = time.monotonic()
            if not there:
                self._newest.put(None)
                return
            self._newest.put(Shot(self._cv2.cvtColor(bgr, self._cv2.COLOR_BGR2RGB), now, now))


class Film:
    """A video file.

    realtime: it plays as a camera would, and frames that come too late are dropped.

    Raises MediaError when it cannot be read.
    """

    def __init__(self, path: Path, realtime: bool) -> None:
        self.path, self.realtime, self.dropped = path, realtime, 0
        open_video(path)

    def shots(self) -> Iterator[Shot]:
        """See Camera."""
        with open_video(self.path) as reader:
            base, began, first = reader.info.time_base, time.monotonic(), None
            every = 1 / reader.info.rate
            for frame in reader.frames():
                first = frame.pts if first is None else first
                seconds = float((frame.pts - first) * base)
                late = time.monotonic() - began - seconds
                if self.realtime and late > every:
                    self.dropped += 1
                    continue
                if self.realtime and late < 0:
                    time.sleep(-late)
                arrived = began + seconds if self.realtime else time.monotonic()
                yield Shot(frame.rgb().numpy(), seconds, arrived)

    def close(self) -> None:
        """See Camera."""


class RawFrames:
    """Frames of 3 bytes a pixel (rgb24), one after the other, such as a program pipes them."""

    def __init__(self, stream: BinaryIO, width: int, height: int, rate: float) -> None:
        self.stream, self.size, self.rate, self.dropped = stream, (width, height), rate, 0

    def shots(self) -> Iterator[Shot]:
        """See Camera. Raises MediaError when the last frame is not whole."""
        width, height = self.size
        length, number = width * height * 3, 0
        while data := self.stream.read(length):
            if len(data) != length:
                what = f"frame {number} has {len(data)} bytes, {width} x {height} take {length}"
                raise MediaError(what, where="standard input", fix="check --size, and rgb24")
            rgb = np.frombuffer(data, np.uint8).reshape(height, width, 3)
            yield Shot(rgb, number / self.rate, time.monotonic())
            number += 1

    def close(self) -> None:
        """See Camera."""


class _Newest:
    """The newest shot, handed from the reading thread to the one that renders."""

    def __init__(self) -> None:
        self._shot: Shot | None = None
        self._count = 0
        self._ready = threading.Condition()

    def put(self, shot: Shot | None) -> None:
        with self._ready:
            self._shot, self._count = shot, self._count + 1
            self._ready.notify()

    def take(self, patience: float) -> tuple[Shot | None, int]:
        """The newest shot that was not taken yet, None where there is none; how many it passed."""
        with self._ready:
            if not self._ready.wait_for(lambda: self._count > 0, patience):
                return None, 0
            shot, missed = self._shot, self._count - 1
            self._count = 0
            return shot, missed


def open_camera(number: int, file: str, size: str, rate: float, realtime: bool) -> Camera:
    """The source that the options of ``mmfa live`` name.

    number: of the camera, where ``file`` is "".  file: a video, or "-" for standard input, whose
    frames are of ``size`` ("640x360") at ``rate`` frames per second.
    Raises ConfigError, PackageError or MediaError.
    """
    if not file:
        return Device(number)
    if file != "-":
        return Film(Path(file).expanduser(), realtime)
    sides = size.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise ConfigError(f"{size!r} is no size", where="--size", fix="such as --size 640x360")
    return RawFrames(sys.stdin.buffer, int(sides[0]), int(sides[1]), rate)


def opencv(what: str) -> Any:
    """The module cv2. Raises PackageError when it is not installed."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # what is wrong is said in our own words
    try:
        import cv2
    except ImportError as error:
        text = f"{what} needs OpenCV, which cannot be imported ({error})"
        raise PackageError(text, where="mmfa live", fix="pip install 'mmfa[live]'") from error
    return cv2
