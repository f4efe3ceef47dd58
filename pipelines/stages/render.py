"""Stage render: identity and motion to the frames of the result."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs
import torch
from torch import Tensor

from mmfa_components.errors import ConfigError
from mmfa_components.kinds import Animator, NeutralAnimator, ViewAnimator
from mmfa_components.records import FaceTrack, Frames, Record, View
from pipelines.stages.encode import encode_crops
from pipelines.stages.frames import to_bytes
from pipelines.stages.transfer import Carry, carry_over
from pipelines.stages.view import view_of
from pipelines.stages.worker import Stopwatch, Worker


@attrs.frozen(eq=False)
class SourceFrames:
    """Frames of a video used as source.

    rows: the frame of the video that each frame of the unit is made of; they rise or repeat.  track: their rows of its track.
    squares: (n, 4), what each is cropped by.  pts: timestamp of the first one, if known, to find it fast.
    side, still: of the view that results show; side 0 for none.
    """

    path: Path
    rows: tuple[int, ...]
    track: FaceTrack
    squares: Tensor
    pts: int | None = None
    side: int = 0
    still: bool = False


@attrs.frozen(eq=False)
class RenderUnit:
    """A span of one (source, driving) pair.

    start: first frame.  driving: motion of the driving clip, one row a frame, or of the result when there is nothing to carry over.
    source: the source's own motion, N = 1 or one row a frame.  identity: the portrait's, or the frames of a video to encode as it goes.
    carry: how the driving motion becomes the result's; None: it is the result's.  neutral: show the canonical face in the pose.
    view: how a portrait is shown, if not as the animator shows it by itself.
    """

    start: int
    driving: Record
    source: Record
    identity: Record | SourceFrames
    carry: Carry | None = None
    neutral: bool = False
    view: View | None = None


@attrs.frozen(eq=False)
class RenderedSpan:
    """Crops of the result, (n, S, S, 3) uint8, and its motion, one row a frame.

    still: (n, h, w) uint8 over the crops, 255 where they are the source itself; None where that is not known.
    """

    rgb: Tensor
    motion: Record
    still: Tensor | None = None
    seconds: dict[str, float] = attrs.field(factory=dict)


def render_span(worker: Worker, unit: RenderUnit) -> RenderedSpan:
    """The crops of a span. Raises MediaError when frames of a source video cannot be read,
    RecordError for motions that cannot be mixed."""
    watch = Stopwatch()
    moved = motion_of(worker, unit, watch)
    crops, _, _, still = zip(*rendered(worker, unit, moved, watch), strict=True)
    rest = [part for part in still if part is not None]
    return RenderedSpan(torch.cat(crops), moved, torch.cat(rest) if rest else None, watch.seconds)


def motion_of(worker: Worker, unit: RenderUnit, watch: Stopwatch) -> Record:
    """The motion of a span of the result, one row a frame: carried over once, for all its batches."""
    with watch.stage("transfer"):
        if unit.carry is None:
            return unit.driving
        return carry_over(worker, unit.source, unit.driving, unit.carry)


def rendered(
    worker: Worker, unit: RenderUnit, moved: Record, watch: Stopwatch
) -> Iterator[tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]]:
    """Batch after batch of a span whose motion is ``moved``.

    Gives the crops (n, S, S, 3) uint8; the frames (n, H, W, 3) uint8 of a video used as source that
    they are made of, and what each is cropped by, (n, 4), None for a portrait; and where they are
    still, as in :class:`RenderedSpan`.
    """
    animator = worker.animator
    still = None if isinstance(unit.identity, SourceFrames) else unit.identity.to(worker.device)
    portrait = None if unit.view is None else unit.view.to(worker.device)
    for first in range(0, len(moved), worker.batch):
        driving = moved[first : first + worker.batch].to(worker.device)
        source = unit.source if len(unit.source) == 1 else unit.source[first : first + worker.batch]
        identity, view, pictures, squares = still, portrait, None, None
        if isinstance(unit.identity, SourceFrames):
            frames, here = unit.identity, slice(first, first + len(driving))
            with watch.stage("decode"):
                stamp = frames.pts if first == 0 else None
                pictures = worker.frames.pick(frames.path, frames.rows[here], stamp)
            track, squares = frames.track[here], frames.squares[here]
            with watch.stage("encode"):
                identity = encode_crops(worker, pictures, track, squares)
                if frames.side:
                    view = view_of(pictures, track, squares, frames.side, frames.still, worker.device)
        rest: Tensor | None = None
        with watch.stage("render"):
            own = source.to(worker.device)
            if unit.neutral:
                shown = render_canonical(animator, identity, own, driving).rgb
            elif view is not None:
                assert isinstance(animator, ViewAnimator), "checked by stages.view.viewing_of"
                viewed = animator.render_view(identity, own, driving, view)
                shown, rest = viewed.rgb, to_bytes(viewed.still)[..., 0]
            else:
                shown = animator.render(identity, own, driving).rgb
            crops = to_bytes(shown)
        worker.done(len(driving))
        yield crops, pictures, squares, rest


def render_canonical(animator: Animator, identity: object, source: Record, driving: Record) -> Frames:
    """The canonical face in a pose. Raises ConfigError when the animator has none."""
    if not isinstance(animator, NeutralAnimator):
        raise ConfigError("this animator has no canonical face", where="animator.name", fix="use one that has: mmfa plugins list")
    return animator.render_neutral(identity, source, driving)
