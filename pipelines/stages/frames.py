"""Frames of clips as stages want them: in chunks, in order, without opening a file anew for every span."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import torch
from torch import Tensor

from mmfa_components.errors import MediaError
from pipelines.media import VideoFrame, VideoReader, open_video

JUMP = 250
"""Frames ahead from which on a clip is entered anew at a keyframe (a common distance of keyframes) instead of being decoded up to there."""
PIXELS_AT_ONCE = 8_000_000
"""Most pixels of full-size frames that are held as float at a time (about 100 MB), whatever the batch."""


def chunk_length(batch: int, width: int, height: int) -> int:
    """Frames to hold at once: the batch, or fewer when they are large."""
    return max(1, min(batch, PIXELS_AT_ONCE // (width * height)))


def to_float(rgb: Tensor, device: torch.device) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) float32 in [0, 1] on ``device``."""
    return rgb.to(device).permute(0, 3, 1, 2).float().div_(255.0)


def to_bytes(rgb: Tensor) -> Tensor:
    """(N, 3, H, W) float in [0, 1] -> (N, H, W, 3) uint8 on the CPU."""
    return rgb.float().mul(255.0).round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().contiguous()


@attrs.frozen(eq=False)
class Chunk:
    """Consecutive frames: ``rgb`` (n, H, W, 3) uint8 and their ``pts`` in the clip's time base."""

    rgb: Tensor
    pts: tuple[int, ...]


@attrs.define
class _Open:
    reader: VideoReader
    frames: Iterator[VideoFrame]
    position: int


class FrameSource:
    """Reads frame ranges; keeps the last few clips open, so that the next range of a clip goes on where the last one ended.

    held: clips in memory, (N, H, W, 3) uint8, by the path that names them; their timestamps count frames.
    """

    def __init__(self, keep: int = 2) -> None:
        self.keep = keep
        self.held: dict[Path, Tensor] = {}
        self._open: dict[Path, _Open] = {}

    def chunks(self, path: Path, start: int, stop: int | None, length: int, pts: int | None = None) -> Iterator[Chunk]:
        """Frames ``start`` to ``stop`` (None: the end) in chunks of at most ``length``; ``pts``: of frame ``start``, if known, to find it fast.

        Raises MediaError when too few are there.
        """
        if path in self.held:
            rgb = self.held[path][start:stop]
            for first in range(0, len(rgb), length):
                part = rgb[first : first + length]
                yield Chunk(part, tuple(range(start + first, start + first + len(part))))
            return
        clip = self._at(path, start, pts)
        while stop is None or clip.position < stop:
            wanted = length if stop is None else min(length, stop - clip.position)
            rows: list[Tensor] = []
            stamps: list[int] = []
            for frame in clip.frames:
                rows.append(frame.rgb())
                stamps.append(frame.pts)
                clip.position += 1
                if len(rows) == wanted:
                    break
            if rows:
                yield Chunk(torch.stack(rows), tuple(stamps))
            if len(rows) < wanted:
                if stop is not None:
                    raise _ended(path, clip.position, stop - 1)
                return

    def read(self, path: Path, start: int, stop: int, pts: int | None = None) -> Tensor:
        """Frames ``start`` to ``stop`` at once, (n, H, W, 3) uint8. pts: as for chunks."""
        return torch.cat([c.rgb for c in self.chunks(path, start, stop, stop - start, pts)])

    def pick(self, path: Path, rows: Sequence[int], pts: int | None = None) -> Tensor:
        """Frames of these numbers, which rise or repeat, (n, H, W, 3) uint8; only they are converted. pts: of the first one, if known.

        Raises MediaError when too few are there.
        """
        clip = self._at(path, rows[0], pts)
        made: list[Tensor] = []
        for wanted in rows:
            if made and wanted == clip.position - 1:
                made.append(made[-1])
                continue
            frame = None
            while clip.position <= wanted and (frame := next(clip.frames, None)) is not None:
                clip.position += 1
            if frame is None:
                raise _ended(path, clip.position, wanted)
            made.append(frame.rgb())
        return torch.stack(made)

    def damage(self, path: Path) -> str:
        """What ended the reading of a clip early, as far as it was read; "" when nothing did."""
        clip = self._open.get(path)
        return "" if clip is None else clip.reader.damage

    def close(self) -> None:
        """Close every clip."""
        while self._open:
            _close(self._open.popitem()[1])

    def _at(self, path: Path, start: int, pts: int | None) -> _Open:
        clip = self._open.pop(path, None)
        here = 0 if clip is None or clip.position > start else clip.position
        jump = pts is not None and start - here > JUMP
        if clip is not None and (clip.position > start or jump):
            _close(clip)
            clip = None
        if clip is None:
            reader = open_video(path)
            clip = _Open(reader, reader.__enter__().frames(start, pts if jump else None), start)
        self._open[path] = clip
        while clip.position < start and next(clip.frames, None) is not None:  # a little ahead: reading on is cheaper than opening anew
            clip.position += 1
        while len(self._open) > self.keep:
            _close(self._open.pop(next(iter(self._open))))
        return clip


def _ended(path: Path, position: int, wanted: int) -> MediaError:
    fix = "do not change the file while it is being used"
    return MediaError(f"ended at frame {position}, frame {wanted} was wanted", where=str(path), fix=fix)


def _close(clip: _Open) -> None:
    clip.reader.__exit__(None, None, None)
