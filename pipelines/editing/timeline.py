"""When the frames of an edit are shown, and which frame of another clip belongs to each."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import attrs
import torch
from torch import Tensor

from mmfa_components.geometry.edit import FieldEdit, MotionEdit, Take
from mmfa_components.records import MotionKind
from pipelines.editing.schema import Timing
from pipelines.media import MediaInfo
from pipelines.runs.clips import Clip
from pipelines.stages.clock import frames_shown, seconds_of
from pipelines.stages.encode import Portrait
from pipelines.stages.references import References, find_references
from pipelines.stages.transfer import read_motion, smoothing_radius

Source = Portrait | Clip


@attrs.frozen(eq=False)
class Timeline:
    """The clock of a result: number of frames, timestamps (N,) in ``info.time_base``, and the file whose sound goes along."""

    info: MediaInfo
    pts: Tensor
    sound: Path | None = None

    @property
    def frames(self) -> int:
        """Frames of the result."""
        return len(self.pts)

    def seconds(self, start: int, stop: int) -> Tensor:
        """Seconds (n,) of frames ``start:stop`` from the beginning, float64."""
        return (self.pts[start:stop] - self.pts[0]).double() * float(self.info.time_base)

    def times(self, start: int, stop: int) -> Sequence[int]:
        """Timestamps of frames ``start:stop``."""
        stamps: list[int] = self.pts[start:stop].tolist()
        return stamps


def timeline_of(source: Source, driving: Clip | None, others: Sequence[Source], edit: MotionEdit | FieldEdit, timing: Timing) -> Timeline:
    """The timeline of a result: the driving clip's, else a source video's, else as long as ``timing`` says."""
    leader = driving if driving is not None else source if isinstance(source, Clip) else None
    if leader is not None:
        return Timeline(leader.info, leader.times.read(0, leader.frames).pts[: leader.frames], leader.path if leader.info.has_audio else None)
    seconds = timing.seconds or max([0.0, *(_length(o) for o in others), *(k.time for c in edit.channels().values() for k in c.keys)])
    rate = Fraction(str(timing.rate)).limit_denominator(1001)
    frames = max(1, round(seconds * rate) + (0 if timing.seconds else 1))
    info = MediaInfo(Path(), "video", 0, 0, rate, 1 / rate, frames)
    return Timeline(info, torch.arange(frames))


@attrs.frozen(eq=False)
class Follower:
    """A clip whose motion is read at the times of a result: the driving clip frame by frame, others by time, pictures held."""

    clip: Source
    rows: Tensor  # (N,) its frame for each frame of the result
    references: References | None  # None of a picture
    kind: MotionKind
    radius: int

    @property
    def reference(self) -> int | None:
        """The reference frame of the whole clip."""
        return None if self.references is None else self.references.main

    def take(self, start: int, stop: int) -> Take:
        """Its motion at frames ``start:stop`` of the result, and its reference."""
        if isinstance(self.clip, Portrait) or self.references is None:
            return Take(self.clip.motion, self.clip.motion)
        rows = self.rows[start:stop]
        low, high = int(rows.min()), int(rows.max()) + 1
        motion = read_motion(self.clip.motion, low, high, self.kind, self.radius, self.clip.framing.stretch)[rows - low]
        return Take(motion, self.references.at(rows))


def follow(clip: Source, line: Timeline, kind: MotionKind, leads: bool, reference: str | int, smooth: float, beyond: str) -> Follower:
    """``clip`` at the times of ``line``. kind: of its motion.  leads: the line is the clip's own.

    Raises ConfigError for a reference that is no frame of it.
    """
    if isinstance(clip, Portrait):
        return Follower(clip, torch.zeros(line.frames, dtype=torch.long), None, kind, 0)
    radius = smoothing_radius(smooth, float(clip.info.rate))
    found = find_references(clip.motion, clip.track, clip.framing.stretch, reference, str(clip.path), kind, radius, clip.neutral)
    rows = torch.arange(line.frames)
    if not leads:
        own = seconds_of(clip.times, clip.frames, clip.info.time_base)
        at = line.seconds(0, line.frames)
        if beyond == "loop":
            at = at % (_length(clip) or 1.0)
        rows = frames_shown(own, at)
    return Follower(clip, rows.clamp(0, clip.frames - 1), found, kind, radius)


def _length(clip: Source) -> float:
    """Seconds a clip lasts, its last frame included; 0 of a picture."""
    return 0.0 if isinstance(clip, Portrait) else float(clip.frames / clip.info.rate)
