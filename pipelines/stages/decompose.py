"""Stage decompose: frames of a clip to motion, free of identity (eq. 4, 5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs
import torch
from torch import Tensor

from mmfa_components.geometry.shots import ShotFiller
from mmfa_components.geometry.track import GapFiller
from mmfa_components.records import FaceTrack, Motion
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
    """Motion of the frames where the face was found (None: in none), on the CPU in float32, which these are, and their shots."""

    motion: Motion | None
    found: tuple[bool, ...]
    shots: tuple[int, ...]
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
                parts.append(plain(motion))
        worker.done(len(track))
    joined = Motion.concatenate(parts) if parts else None
    return DecomposedSpan(joined, tuple(unit.track.found.tolist()), tuple(unit.track.shot.tolist()), watch.seconds)


def fill_gaps(spans: Iterable[DecomposedSpan], max_gap: int) -> Iterator[Motion]:
    """Join spans to the motion of the whole clip: short gaps within a shot interpolated, long ones repeat the last motion."""
    filler: ShotFiller[Motion] = ShotFiller(GapFiller(max_gap))
    for span in spans:
        yield from filler.push(span.motion, span.found, span.shots)
    yield from filler.finish()


def plain(motion: object) -> Motion:
    """A component's motion on the CPU in float32, as it is cached. Raises RecordError via Motion's own checks."""
    assert isinstance(motion, Motion)  # build_components checked the animator
    return motion.map(lambda t: t.detach().to("cpu", torch.float32))
