"""Streaming video input by PyAV: upright RGB frames with their exact timestamps, span by span."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from pipelines.media.animation import animation_frames
from pipelines.media.damage import HIDING, JOINED, Faults
from pipelines.media.display import Display
from pipelines.media.opening import open_container, picture_stream
from pipelines.media.probe import MediaInfo, probe, require_video

MOST_FAILURES = 64
"""Times in a row that reading a file may fail before it is given up."""
OUTPUT_CORRUPT = 8
"""FFmpeg's flag for frames that rest on one that is missing."""
THREADS = 4  # of the decoder; left to itself it takes one a core for every open file


@attrs.frozen(eq=False)
class VideoSpan:
    """Consecutive frames. start: index of the first.  rgb: (n, H, W, 3) uint8.  pts: timestamps in the clip's time base."""

    start: int
    rgb: Tensor
    pts: tuple[int, ...]


@attrs.frozen(eq=False)
class VideoFrame:
    """One decoded frame. pts: its timestamp in the clip's time base. What is only passed over need not be converted."""

    raw: Any
    pts: int
    show: Callable[[Any], np.ndarray[Any, Any]]

    def rgb(self) -> Tensor:
        """Picture as displayed, (H, W, 3) uint8."""
        return torch.from_numpy(self.show(self.raw))


class VideoReader:
    """An opened video; use it as a context manager.

    info: facts of the file.  damage: "" or, after iterating, what could not be read and was left out, and how the picture changes
    on the way; all else was delivered.
    """

    def __init__(self, path: Path) -> None:
        self.info: MediaInfo = probe(path)
        require_video(self.info)
        self._faults = Faults(self.info)
        self._container: Any = None
        self._started = self._failed = False

    @property
    def damage(self) -> str:
        """What is wrong with the file, as far as it was read; "" when nothing is."""
        return self._faults.text

    def __enter__(self) -> VideoReader:
        if not self.info.animation:
            self._container = open_container(self.info.path)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None

    def spans(self, length: int, start: int = 0, stop: int | None = None) -> Iterator[VideoSpan]:
        """Frames [start, stop) in spans of at most ``length``; may be called again. Only one span is held at a time."""
        rgb: list[Tensor] = []
        stamps: list[int] = []
        first = start
        for frame in itertools.islice(self.frames(start), None if stop is None else max(0, stop - start)):
            rgb.append(frame.rgb())
            stamps.append(frame.pts)
            if len(rgb) == length:
                yield VideoSpan(first, torch.stack(rgb), tuple(stamps))
                first, rgb, stamps = first + length, [], []
        if rgb:
            yield VideoSpan(first, torch.stack(rgb), tuple(stamps))

    def frames(self, start: int = 0, pts: int | None = None) -> Iterator[VideoFrame]:
        """One frame after the other from ``start`` on; may be called again.

        pts: timestamp of frame ``start``, if known: reading enters the file at the last keyframe before it instead of the first frame.
        Which frames come does not depend on it: a file that cannot be entered there is decoded from its beginning.
        """
        if self.info.animation:
            for rgb, stamp in itertools.islice(animation_frames(self.info.path), start, None):
                yield VideoFrame(rgb, stamp, np.ascontiguousarray)
            return
        display = Display(self.info.width, self.info.height, self.info.pixel_shape)
        entered = None if pts is None else self._enter_at(pts)
        skipped = start if entered is None else 0
        stamped = self._stamped(self._decoded() if entered is None else entered, whole=entered is None)
        for number, (frame, stamp) in enumerate(itertools.islice(stamped, skipped, None), start):
            self._faults.size_at(frame, number)
            yield VideoFrame(frame, stamp, display.rgb)

    def _decoded(self, pts: int | None = None) -> Iterator[Any]:
        """Frames as the decoder gives them, however often this is called: all, or from the keyframe before timestamp ``pts`` on.

        Where one cannot be decoded, those after it are decoded anew without threads, which would swallow some beside it.
        """
        count, last = 0, None
        for careful in (False, True) if self.info.codec not in HIDING else (True,):
            resumed = not careful
            stream = self._opened(pts)
            stream.thread_type = "SLICE" if careful else "AUTO"
            stream.codec_context.thread_count = THREADS
            skip, self._failed = count, False
            for number, frame in enumerate(self._frames_of(stream, careful)):
                if careful:  # once the picture was whole, one with faults is better than none
                    stream.codec_context.flags |= OUTPUT_CORRUPT
                if number < skip or (not resumed and _is_before(frame.pts, last)):
                    continue
                resumed, count, last = True, count + 1, frame.pts
                yield frame
            if not self._failed:
                return

    def _opened(self, pts: int | None) -> Any:
        """The picture of the file, read from its beginning or from the keyframe before ``pts`` on. Raises OSError, ValueError."""
        if self._started:
            self.__exit__(None, None, None)
            self.__enter__()
        self._started = True
        stream = picture_stream(self._container)
        if pts is not None:
            self._container.seek(pts, stream=stream)
        self._faults.begin()
        return stream

    def _frames_of(self, stream: Any, careful: bool) -> Iterator[Any]:
        """Frames up to the first that cannot be decoded; careful: all that can be, what cannot is noted and passed over."""
        failed = 0
        while failed < MOST_FAILURES:
            try:
                for packet in self._container.demux(stream):
                    if packet.dts is None and not packet.size:
                        continue  # it only says that this is the end
                    failed = 0
                    self._faults.packet(packet)
                    if packet.size:  # an empty one repeats the frame before
                        yield from self._decode(stream, packet, careful)
                        if self._failed and not careful:
                            return
                break
            except (OSError, ValueError) as error:
                failed += 1
                self._faults.ends = str(error)
        for _ in range(MOST_FAILURES):
            try:
                yield from self._noted(stream.codec_context.decode(None), careful)
                break
            except EOFError:
                break
            except (OSError, ValueError, TypeError):  # the last: PyAV, asked for the time of a fault after the last packet
                self._fail()
                if not careful:
                    return
        self._failed = self._failed or not self._faults.tail()

    def _decode(self, stream: Any, packet: Any, careful: bool) -> list[Any]:
        try:
            return self._noted(stream.codec_context.decode(packet), careful)
        except (OSError, ValueError):
            self._fail()
            return []

    def _noted(self, frames: list[Any], careful: bool) -> list[Any]:
        """Frames that came out; unless careful only those before the first that is missing."""
        for number, frame in enumerate(frames):
            if not self._faults.frame(frame.pts):
                self._failed = True
                if not careful:
                    return frames[:number]
        return frames

    def _fail(self) -> None:
        self._failed = True
        self._faults.failed()

    def _enter_at(self, pts: int) -> Iterator[Any] | None:
        """Decoded frames from the one of timestamp ``pts`` on. None where it is not met behind a keyframe, on which its decoding can rest."""
        decoded, rests = self._decoded(pts), False
        try:
            for frame in decoded:
                if frame.pts is None or frame.pts > pts or frame.is_corrupt:
                    return None
                rests = rests or frame.key_frame
                if frame.pts == pts:
                    return itertools.chain([frame], decoded) if rests else None
        except (OSError, ValueError):
            return None
        return None

    def _stamped(self, decoded: Iterator[Any], whole: bool = False) -> Iterator[tuple[Any, int]]:
        """Frames with ascending timestamps. whole: they are the file's, from first to last."""
        step = max(1, round(1 / (self.info.rate * self.info.time_base)))
        shift, last = 0, None
        for frame in decoded:
            pts = None if frame.pts is None else frame.pts + shift
            if last is not None and pts is not None and last - pts >= JOINED * step:  # the clock starts again: two recordings joined
                shift, pts = shift + last + step - pts, last + step
            if pts is None or (last is not None and pts <= last):  # no timestamp, or one that repeats: go on evenly
                pts = 0 if last is None else last + step
            last = pts
            yield frame, pts
        if whole:
            self._faults.ended(self._container, last)


def _is_before(pts: int | None, last: int | None) -> bool:
    return pts is not None and last is not None and pts <= last


def open_video(path: Path) -> VideoReader:
    """Open a video for streaming. Raises MediaError when it is missing, no video, or damaged from the start."""
    return VideoReader(Path(path))
