"""Stage decompose: frames of a clip to motion, free of identity (eq. 4, 5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs
import torch
from torch import Tensor

from mmfa_components.errors import RecordError
from mmfa_components.geometry.placing import placed
from mmfa_components.geometry.shots import ShotFiller
from mmfa_components.geometry.track import GapFiller
from mmfa_components.records import FaceTrack, MotionKind, Record
from pipelines.stages.crop import crop_frames, crop_landmarks
from pipelines.stages.worker import Stopwatch, Worker


@attrs.frozen(eq=False)
class DecomposeUnit:
    """A span of a clip: its first frame, the span of its track, and the first frame's timestamp, if known.

    squares: (n, 4), what each frame is cropped by.  base: (n, 4), the squares whose units the motion is told in.  stretch: number
    of each frame's run of one shot and one person.
    """

    path: Path
    start: int
    track: FaceTrack
    squares: Tensor
    base: Tensor
    stretch: tuple[int, ...]
    pts: int | None = None


@attrs.frozen(eq=False)
class DecomposedSpan:
    """Motion of the frames where the face was found (None: in none), on the CPU in float32, which these are, and the stretches."""

    motion: Record | None
    found: tuple[bool, ...]
    stretch: tuple[int, ...]
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
        rows = slice(at, at + len(chunk.rgb))
        track, squares, base = unit.track[rows], unit.squares[rows], unit.base[rows]
        at += len(track)
        if bool(track.found.any()):
            with watch.stage("decompose"):
                here = squares[track.found]
                crops = crop_frames(chunk.rgb[track.found], here, animator.crop_size, worker.device)
                landmarks = crop_landmarks(track[track.found], here, animator.crop_size, worker.device)
                motion = animator.decompose(crops, landmarks)
                parts.append(placed(plain(motion, worker.motion), here, base[track.found]))
        worker.done(len(track))
    joined = worker.motion.record.concatenate(parts) if parts else None
    return DecomposedSpan(joined, tuple(unit.track.found.tolist()), unit.stretch, watch.seconds)


def fill_gaps(spans: Iterable[DecomposedSpan], max_gap: int) -> Iterator[Record]:
    """Join spans to the motion of the whole clip: short gaps within a stretch interpolated, long ones repeat the last motion."""
    filler: ShotFiller[Record] = ShotFiller(GapFiller(max_gap))
    for span in spans:
        yield from filler.push(span.motion, span.found, span.stretch)
    yield from filler.finish()


def plain(motion: object, kind: MotionKind) -> Record:
    """A component's motion on the CPU in float32, as it is cached. Raises RecordError when it is not of the kind its spec promises."""
    if not isinstance(motion, kind.record):
        fix = "give its ComponentSpec the MotionKind of the record that decompose returns"
        raise RecordError(f"the animator gave a {type(motion).__name__} instead of a {kind.record.__name__}", where="decompose", fix=fix)
    return motion.map(lambda t: t.detach().to("cpu", torch.float32 if t.is_floating_point() else t.dtype))
