"""Stage decompose: frames of a clip to motion, free of identity (eq. 4, 5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs
import torch
from torch import Tensor

from mmfa_components.errors import RecordError
from mmfa_components.geometry.track import GapFiller
from mmfa_components.records import FaceTrack, MotionKind, Record
from pipelines.stages.crop import crop_frames, crop_landmarks
from pipelines.stages.worker import Stopwatch, Worker


@attrs.frozen(eq=False)
class DecomposeUnit:
    """A span of a clip: its first frame, the span of its track, the clip's crop square (4,), and the first frame's timestamp, if known."""

    path: Path
    start: int
    track: FaceTrack
    square: Tensor
    pts: int | None = None


@attrs.frozen(eq=False)
class DecomposedSpan:
    """Motion of the frames where the face was found (None: in none), on the CPU in float32, and which these are."""

    motion: Record | None
    found: tuple[bool, ...]
    seconds: dict[str, float] = attrs.field(factory=dict)


def decompose_span(worker: Worker, unit: DecomposeUnit) -> DecomposedSpan:
    """Decompose the frames of one span in which the face was found. Raises MediaError when the frames cannot be read."""
    animator, watch, parts = worker.animator, Stopwatch(), []
    stop = unit.start + len(unit.track)
    at = 0
    chunks = worker.frames.chunks(unit.path, unit.start, stop, worker.batch, unit.pts)
    while True:
        with watch.stage("decode"):
            chunk = next(chunks, None)
        if chunk is None:
            break
        track = unit.track[at : at + len(chunk.rgb)]
        at += len(track)
        if bool(track.found.any()):
            with watch.stage("decompose"):
                crops = crop_frames(chunk.rgb[track.found], unit.square, animator.crop_size, worker.device)
                landmarks = crop_landmarks(track[track.found], unit.square, animator.crop_size, worker.device)
                motion = animator.decompose(crops, landmarks)
                parts.append(plain(motion, worker.motion))
        worker.done(len(track))
    joined = worker.motion.record.concatenate(parts) if parts else None
    return DecomposedSpan(joined, tuple(unit.track.found.tolist()), watch.seconds)


def fill_gaps(spans: Iterable[DecomposedSpan], max_gap: int) -> Iterator[Record]:
    """Join spans to the motion of the whole clip: short gaps interpolated, long ones repeat the last motion."""
    filler: GapFiller[Record] = GapFiller(max_gap)
    for span in spans:
        if span.motion is None:
            filler.skip(len(span.found))
        else:
            yield from filler.push(span.motion, span.found)
    yield from filler.finish()


def plain(motion: object, kind: MotionKind) -> Record:
    """A component's motion on the CPU in float32, as it is cached. Raises RecordError when it is not of the kind its spec promises."""
    if not isinstance(motion, kind.record):
        fix = "give its ComponentSpec the MotionKind of the record that decompose returns"
        raise RecordError(f"the animator gave a {type(motion).__name__} instead of a {kind.record.__name__}", where="decompose", fix=fix)
    return motion.map(lambda t: t.detach().to("cpu", torch.float32 if t.is_floating_point() else t.dtype))
