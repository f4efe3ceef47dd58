"""Stage render: identity and motion to the frames of the result."""

from __future__ import annotations

from pathlib import Path

import attrs
import torch
from torch import Tensor

from mmfa_components.errors import ConfigError
from mmfa_components.kinds import Animator, NeutralAnimator
from mmfa_components.records import FaceTrack, Frames, Record
from pipelines.stages.encode import encode_crops
from pipelines.stages.frames import to_bytes
from pipelines.stages.transfer import Carry, carry_over
from pipelines.stages.worker import Stopwatch, Worker


@attrs.frozen(eq=False)
class SourceFrames:
    """Frames of a video used as source: result frame i is made of its frame i; its last frame is held beyond its end.

    frames: of the video.  track: its rows for the frames of the unit.  square: its crop (4,).  pts: timestamp of the frame the unit
    begins with, if known, to find it fast.
    """

    path: Path
    frames: int
    track: FaceTrack
    square: Tensor
    pts: int | None = None


@attrs.frozen(eq=False)
class RenderUnit:
    """A span of one (source, driving) pair.

    start: first frame.  driving: motion of the driving clip, one row a frame, or of the result when there is nothing to carry over.
    source: the source's own motion, N = 1 or one row a frame.  identity: the portrait's, or the frames of a video to encode as it goes.
    carry: how the driving motion becomes the result's; None: it is the result's.  neutral: show the canonical face in the pose.
    """

    start: int
    driving: Record
    source: Record
    identity: Record | SourceFrames
    carry: Carry | None = None
    neutral: bool = False


@attrs.frozen(eq=False)
class RenderedSpan:
    """Crops of the result, (n, S, S, 3) uint8, and its motion, one row a frame."""

    rgb: Tensor
    motion: Record
    seconds: dict[str, float] = attrs.field(factory=dict)


def render_span(worker: Worker, unit: RenderUnit) -> RenderedSpan:
    """Transfer motion once, then render in batches. Raises MediaError when frames of a source video cannot be read, RecordError for
    motions that cannot be mixed."""
    animator, watch, parts = worker.animator, Stopwatch(), []
    with watch.stage("transfer"):
        moved = unit.driving if unit.carry is None else carry_over(worker, unit.source, unit.driving, unit.carry)
    still = None if isinstance(unit.identity, SourceFrames) else unit.identity.to(worker.device)
    for first in range(0, len(moved), worker.batch):
        driving = moved[first : first + worker.batch].to(worker.device)
        source = unit.source if len(unit.source) == 1 else unit.source[first : first + worker.batch]
        identity = still
        if isinstance(unit.identity, SourceFrames):
            frames, start = unit.identity, unit.start + first
            with watch.stage("decode"):
                rgb = source_frames(worker, frames, start, start + len(driving), frames.pts if first == 0 else None)
            with watch.stage("encode"):
                identity = encode_crops(worker, rgb, frames.track[first : first + len(driving)], frames.square)
        with watch.stage("render"):
            own = source.to(worker.device)
            shown = render_canonical(animator, identity, own, driving) if unit.neutral else animator.render(identity, own, driving)
            parts.append(to_bytes(shown.rgb))
        worker.done(len(driving))
    return RenderedSpan(torch.cat(parts), moved, watch.seconds)


def render_canonical(animator: Animator, identity: object, source: Record, driving: Record) -> Frames:
    """The canonical face in a pose. Raises ConfigError when the animator has none."""
    if not isinstance(animator, NeutralAnimator):
        raise ConfigError("this animator has no canonical face", where="animator.name", fix="use one that has: python -m plugins list")
    return animator.render_neutral(identity, source, driving)


def source_frames(worker: Worker, source: SourceFrames, start: int, stop: int, pts: int | None) -> Tensor:
    """Frames ``start`` to ``stop`` of a source video (n, H, W, 3) uint8, its last frame repeated beyond the end. pts: of the first one read."""
    first = min(start, source.frames - 1)
    rgb = worker.frames.read(source.path, first, max(min(stop, source.frames), first + 1), pts)
    return torch.cat([rgb, rgb[-1:].expand(stop - start - len(rgb), -1, -1, -1)])
