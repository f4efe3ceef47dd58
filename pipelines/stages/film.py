"""Stage film: a segment of a result, rendered, pasted back, marked and encoded."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import attrs
import torch
from torch import Tensor

from mmfa_components.records import Record
from pipelines.media import Coding, Segment, SegmentEncoder
from pipelines.stages.frames import chunk_length
from pipelines.stages.mark import mark_frames
from pipelines.stages.paste import paste_crops
from pipelines.stages.render import RenderedSpan, RenderUnit, motion_of, rendered
from pipelines.stages.worker import Stopwatch, Worker


@attrs.frozen(eq=False)
class Look:
    """What is done with the crops of a result.

    paste: put them back into the source.  mark: note in a corner that the picture is synthetic.
    picture: the portrait, (H, W, 3) uint8, where crops are pasted into one.  square: (4,), its crop.
    Crops of a video used as source are pasted into its frames.
    """

    paste: bool = False
    mark: bool = False
    picture: Any = None
    square: Tensor | None = None


@attrs.frozen(eq=False)
class SegmentUnit:
    """A segment of a result. stamps: timestamps of its frames.  coding: how it is encoded, one of
    ``Coding.on_workers``."""

    render: RenderUnit
    stamps: tuple[int, ...]
    coding: Coding
    look: Look

    @property
    def start(self) -> int:
        """Its first frame."""
        return self.render.start


@attrs.frozen(eq=False)
class FrameUnit:
    """A span of a result whose frames are wanted as they are."""

    render: RenderUnit
    look: Look


@attrs.frozen(eq=False)
class FilmedSegment:
    """Encoded frames, and the motion of the result, one row a frame."""

    segment: Segment
    motion: Record
    seconds: dict[str, float] = attrs.field(factory=dict)


def film_segment(worker: Worker, unit: SegmentUnit) -> FilmedSegment | Future[FilmedSegment]:
    """Render a segment; what is given has it once it is encoded, which goes on beside the next one.

    Raises what :func:`render_span` raises; the future may raise what PyAV raises.
    """
    watch, beside = Stopwatch(), Stopwatch()
    moved = motion_of(worker, unit.render, watch)
    encoder: SegmentEncoder | None = None
    place = 0

    def take(parcel: tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]) -> None:
        nonlocal encoder, place
        crops, *others = parcel
        size = chunk_length(len(crops), unit.coding.width, unit.coding.height)
        for first in range(0, len(crops), size):
            here = slice(first, first + size)
            with beside.stage("paste"):
                parts = [None if other is None else other[here] for other in others]
                frames = finished(crops[here], unit.look, *parts)
            with beside.stage("write"):
                encoder = encoder or SegmentEncoder(unit.coding)
                encoder.add(frames, unit.stamps[place : place + len(frames)])
            place += len(frames)

    def finish() -> FilmedSegment:
        assert encoder is not None
        with beside.stage("write"):
            segment = encoder.finish()
        beside.add(watch.seconds)
        return FilmedSegment(segment, moved, beside.seconds)

    feed = worker.encoders.feed(take, finish, unit.coding.width * unit.coding.height)
    try:
        for parcel in rendered(worker, unit.render, moved, watch):
            feed.put(parcel)
    except BaseException as error:
        feed.abort(error)
        raise
    return feed.end()


def finished(
    crops: Tensor,
    look: Look,
    pictures: Tensor | None = None,
    squares: Tensor | None = None,
    still: Tensor | None = None,
) -> Tensor:
    """Frames (n, H, W, 3) uint8 of a result from its crops (n, S, S, 3) uint8.

    pictures, squares: (n, H, W, 3) uint8 and (n, 4), the frames of a video used as source and what
    each is cropped by.  still: (n, h, w) uint8 over the crops, where they are the source itself.
    """
    if look.paste and pictures is not None and squares is not None:
        crops = paste_crops(pictures, crops, squares, still)
    elif look.paste:
        assert look.picture is not None
        assert look.square is not None
        crops = paste_crops(look.picture[None], crops, look.square, still)
    return mark_frames(crops) if look.mark else crops


def finish_span(worker: Worker, unit: FrameUnit) -> RenderedSpan:
    """Render a span; gives finished frames in place of its crops. Raises what render_span raises."""
    render, watch = unit.render, Stopwatch()
    moved = motion_of(worker, render, watch)
    parts: list[Tensor] = []
    for crops, *others in rendered(worker, render, moved, watch):
        with watch.stage("paste"):
            parts.append(finished(crops, unit.look, *others))
    return RenderedSpan(torch.cat(parts), moved, seconds=watch.seconds)
