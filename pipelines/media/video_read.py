"""Streaming video input by PyAV: upright RGB frames with their exact timestamps, span by span."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import attrs
import numpy as np
import torch
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from torch import Tensor

from pipelines.media.probe import MediaInfo, frame_rotation, open_container, probe, require_video

BT709 = 1
UNSPECIFIED = 2
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
    convert: VideoReformatter

    def rgb(self) -> Tensor:
        """Upright picture, (H, W, 3) uint8."""
        return torch.from_numpy(upright_rgb(self.raw, self.convert))


def upright_rgb(frame: Any, convert: VideoReformatter) -> np.ndarray[Any, Any]:
    """A decoded frame as upright (H, W, 3) uint8; matrix and range as tagged, by size where they are not.

    convert: kept for all frames of a clip, and on one thread: made anew for each frame it would start a thread for every core.
    """
    matrix = int(frame.colorspace)
    high = matrix == BT709 or (matrix == UNSPECIFIED and frame.height >= 720)
    source = Colorspace.ITU709 if high else Colorspace.ITU601
    planar = not frame.format.is_rgb
    rgb = convert.reformat(
        frame,
        format="rgb24",
        src_colorspace=source if planar else None,
        dst_colorspace=source if planar else None,
        dst_color_range=ColorRange.JPEG,
        threads=1,
    ).to_ndarray()
    turns = frame_rotation(frame) // 90
    return np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb


class VideoReader:
    """An opened video; use it as a context manager.

    info: facts of the file.  damage: "" or, after iterating, what ended the reading early and at which frame; the frames before
    it were delivered.
    """

    def __init__(self, path: Path) -> None:
        self.info: MediaInfo = probe(path)
        require_video(self.info)
        self.damage = ""
        self._container: Any = None
        self._started = False

    def __enter__(self) -> VideoReader:
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
        convert = VideoReformatter()
        entered = None if pts is None else self._enter_at(pts)
        found = itertools.islice(self._stamped(self._decoded(), 0), start, None) if entered is None else self._stamped(entered, start)
        for frame, stamp in found:
            yield VideoFrame(frame, stamp, convert)

    def _decoded(self) -> Iterator[Any]:
        """Frames as the decoder gives them, from the first one, however often this is called."""
        if self._started:
            self.__exit__(None, None, None)
            self.__enter__()
        self._started = True
        stream = self._container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = THREADS
        return iter(self._container.decode(stream))

    def _enter_at(self, pts: int) -> Iterator[Any] | None:
        """Decoded frames from the one of timestamp ``pts`` on. None where it is not met behind a keyframe, on which its decoding can rest."""
        decoded, rests = self._decoded(), False
        try:
            self._container.seek(pts, stream=self._container.streams.video[0])
            for frame in decoded:
                if frame.pts is None or frame.pts > pts or frame.is_corrupt:
                    return None
                rests = rests or frame.key_frame
                if frame.pts == pts:
                    return itertools.chain([frame], decoded) if rests else None
        except (OSError, ValueError):
            return None
        return None

    def _stamped(self, decoded: Iterator[Any], count: int) -> Iterator[tuple[Any, int]]:
        """Frames with ascending timestamps; the first one is frame number ``count``."""
        step = max(1, round(1 / (self.info.rate * self.info.time_base)))
        last: int | None = None
        while True:
            try:
                frame = next(decoded)
            except StopIteration:
                return
            except (OSError, ValueError) as error:
                self.damage = f"damaged after frame {count - 1} ({error}); the frames up to there are used"
                return
            pts = frame.pts
            if pts is None or (last is not None and pts <= last):  # no timestamp, or one that repeats: go on evenly
                pts = 0 if last is None else last + step
            last, count = pts, count + 1
            yield frame, pts


def open_video(path: Path) -> VideoReader:
    """Open a video for streaming. Raises MediaError when it is missing, no video, or damaged from the start."""
    return VideoReader(Path(path))
