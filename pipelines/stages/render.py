"""Stage render: identity and motion to the frames of the result."""

from __future__ import annotations

from collections.abc import Iterator
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
    """Frames of a video used as source.

    rows: the frame of the video that each frame of the unit is made of; they rise or repeat.  track: their rows of its track.
    squares: (n, 4), what each is cropped by.  pts: timestamp of the first one, if known, to find it fast.
    """

    path: Path
    rows: tuple[int, ...]
    track: FaceTrack
    squares: Tensor
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
    """The crops of a span. Raises MediaError when frames of a source video cannot be read,
    RecordError for motions that cannot be mixed."""
    watch = Stopwatch()
    moved = motion_of(worker, unit, watch)
    parts = [crops for crops, _ in rendered(worker, unit, moved, watch)]
    return RenderedSpan(torch.cat(parts), moved, watch.seconds)


def motion_of(worker: Worker, unit: RenderUnit, watch: Stopwatch) -> Record:
    """The motion of a span of the result, one row a frame: carried over once, for all its batches."""
    with watch.stage("transfer"):
        if unit.carry is None:
            return unit.driving
        return carry_over(worker, unit.source, unit.driving, unit.carry)


def rendered(
    worker: Worker, unit: RenderUnit, moved: Record, watch: Stopwatch
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Batch after batch of a span whose motion is ``moved``.

    Gives the crops (n, S, S, 3) uint8, and the frames (n, H, W, 3) uint8 of a video used as source
    that they are made of; None for a portrait.
    """
    animator = worker.animator
    still = None if isinstance(unit.identity, SourceFrames) else unit.identity.to(worker.device)
    for first in range(0, len(moved), worker.batch):
        driving = moved[first : first + worker.batch].to(worker.device)
        source = unit.source if len(unit.source) == 1 else unit.source[first : first + worker.batch]
        identity, pictures = still, None
        if isinstance(unit.identity, SourceFrames):
            frames, here = unit.identity, slice(first, first + len(driving))
            with watch.stage("decode"):
                stamp = frames.pts if first == 0 else None
                pictures = worker.frames.pick(frames.path, frames.rows[here], stamp)
            with watch.stage("encode"):
                identity = encode_crops(worker, pictures, frames.track[here], frames.squares[here])
        with watch.stage("render"):
            own = source.to(worker.device)
            shown = (
                render_canonical(animator, identity, own, driving)
                if unit.neutral
                else animator.render(identity, own, driving)
            )
            crops = to_bytes(shown.rgb)
        worker.done(len(driving))
        yield crops, pictures


def render_canonical(animator: Animator, identity: object, source: Record, driving: Record) -> Frames:
    """The canonical face in a pose. Raises ConfigError when the animator has none."""
    if not isinstance(animator, NeutralAnimator):
        raise ConfigError("this animator has no canonical face", where="animator.name", fix="use one that has: mmfa plugins list")
    return animator.render_neutral(identity, source, driving)
