"""Clips and portraits made ready for jobs: each video is tracked and decomposed once, each portrait encoded once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor

from cache import CacheKey
from mmfa_components.errors import MediaError
from mmfa_components.geometry.placing import placed
from mmfa_components.geometry.track import ranges_of
from mmfa_components.records import FaceTrack, Motion, MotionKind, Record, Timestamps
from pipelines.config.schema import Face
from pipelines.engines.base import Engine
from pipelines.media import MediaInfo, content_digest, probe, require_video
from pipelines.reports import InputReport
from pipelines.runs.progress import Progress
from pipelines.stages.associate import FOLLOWING_VERSION
from pipelines.stages.crop import MARGIN
from pipelines.stages.decompose import DecomposedSpan, DecomposeUnit, decompose_span, fill_gaps
from pipelines.stages.encode import Portrait, StillUnit, encode_still
from pipelines.stages.framing import FRAMING_VERSION, Framing, frame_clip, still_framing
from pipelines.stages.motion_file import FileTimes, info_of, is_motion_file, open_motion
from pipelines.stages.render import SourceFrames
from pipelines.stages.store import Store, iterate
from pipelines.stages.track import TrackUnit, track_clip
from pipelines.stages.transfer import read_motion
from pipelines.stages.worker import Stopwatch


@attrs.frozen(eq=False)
class Clip:
    """A video made ready: its stored track, motion and times (read span by span), its squares, and its part of the report.

    track is None for a motion file, which has no pictures.  neutral: reference frame that the file itself names.
    """

    path: Path
    info: MediaInfo
    track: Any
    motion: Any
    times: Any
    framing: Framing
    report: InputReport
    neutral: int | None = None

    @property
    def frames(self) -> int:
        """Frames of the clip, as decoded."""
        return len(self.motion)

    @property
    def square(self) -> Tensor:
        """The square (4,) whose units the motion is told in, of the first shot."""
        return self.framing.base[0]

    def own_motion(self, rows: Tensor, kind: MotionKind, radius: int = 0) -> Record:
        """Motion of frames ``rows`` (n,), which rise or repeat, as a source: seen through the squares of ``framing.view``."""
        low, high = int(rows[0]), int(rows[-1]) + 1
        motion = read_motion(self.motion, low, high, kind, radius, self.framing.stretch)[rows - low]
        return placed(motion, self.framing.base[rows], self.framing.view[rows])


class Preparation:
    """Prepares inputs on an engine, with a store for what comes out."""

    def __init__(self, engine: Engine, store: Store, progress: Progress, span: int) -> None:
        self.engine, self.store, self.progress, self.span = engine, store, progress, span

    def portrait(self, path: Path, face: Face, report: InputReport) -> Portrait:
        """Encode a portrait. Raises MediaError or NoFaceError."""
        self.progress.start(f"encode {path.name}", 1)
        portrait = next(iter(self.engine.map(encode_still, [StillUnit(path, face)])))
        report.frames = 1
        report.seconds = dict(portrait.seconds)
        return portrait

    def clip(self, path: Path, face: Face, report: InputReport) -> Clip:
        """Track and decompose a video, or take both from the cache; a motion file is opened. Raises MediaError, NoFaceError or CacheError."""
        if is_motion_file(path):
            return self._motion_file(path, report)
        if path.suffix.lower() in (".pkl", ".pickle"):
            fix = "make a motion file of a motion template of LivePortrait: mmfa cache import FILE.pkl"
            raise MediaError("is a pickle, which is not read here", where=str(path), fix=fix)
        info = probe(path)
        require_video(info)
        return self.followed(path, info, face, report)

    def followed(self, path: Path, info: MediaInfo, face: Face, report: InputReport) -> Clip:
        """As ``clip``, of a video that was looked at, or of frames that the workers hold in memory. Raises NoFaceError."""
        watch = Stopwatch()
        track, times = self._track(path, info, face, report, watch)
        placeable = issubclass(self.engine.facts.motion.record, Motion)  # its motion can be told in another square's units
        framing = frame_clip(iterate(track, self.span), face.crop_ratio, info.width, info.height, placeable)
        flags = [(rows.found, rows.usable) for rows in iterate(track, self.span)]
        seen, used = (torch.cat(part) for part in zip(*flags, strict=True))
        report.lost, report.bridged = ranges_of(~used), ranges_of(used & ~seen)
        report.cuts, report.people, report.follows = list(framing.cuts), list(framing.people), framing.moves
        motion = self._motion(path, face, track, times, framing, report, watch)
        report.frames, report.seconds = len(motion), watch.seconds
        return Clip(path, info, track, motion, times, framing, report)

    def _motion_file(self, path: Path, report: InputReport) -> Clip:
        file = open_motion(path, self.engine.facts, self.store.scratch.records)
        report.kind, report.frames = "motion", len(file)
        square = torch.tensor(file.header.square or (0.0, 0.0, 0.0, 0.0))
        framing = still_framing(square, len(file))
        return Clip(path, info_of(path, file), None, file, FileTimes(file), framing, report, file.header.reference)

    def _track(self, path: Path, info: MediaInfo, face: Face, report: InputReport, watch: Stopwatch) -> tuple[Any, Any]:
        facts = self.engine.facts
        key = CacheKey.of(
            FaceTrack, [facts.detector, facts.landmarks], _face_options(face), report.digest, path.name, facts.precision
        )  # fmt: skip
        clock = {"rate": str(info.rate), "time_base": str(info.time_base)}
        times_key = attrs.evolve(CacheKey.of(Timestamps, [], {}, report.digest, path.name, "exact"), notes=clock)
        stored, stored_times = self.store.get(key), self.store.get(times_key)
        if stored is not None and stored_times is not None:
            report.cached["track"] = stored[1]
            return stored[0], stored_times[0]
        pts: list[int] = []

        def make() -> Iterator[FaceTrack]:
            pts.clear()
            self.progress.start(f"follow the face in {path.name}", info.frames)
            for step in self.engine.stream(track_clip, TrackUnit(path, face, info.width, info.height)):
                watch.add(step.seconds)
                pts.extend(step.pts)
                if step.damage and step.damage not in report.warnings:
                    report.warnings.append(step.damage)
                yield from step.rows

        track = self.store.fill(key, FaceTrack, make)
        times = self.store.fill(times_key, Timestamps, lambda: [Timestamps(torch.tensor(pts, dtype=torch.int64))])
        report.cached["track"] = False
        return track, times

    def _motion(self, path: Path, face: Face, track: Any, times: Any, framing: Framing, report: InputReport, watch: Stopwatch) -> Any:
        facts = self.engine.facts
        options = {**_face_options(face), "margin": MARGIN, "crop_size": facts.crop_size, "framing": FRAMING_VERSION}
        key = CacheKey.of(facts.motion.record, facts.all(), options, report.digest, path.name, facts.precision)
        stored = self.store.get(key)
        report.cached["motion"] = stored is not None and stored[1]
        if stored is not None:
            return stored[0]

        def units() -> Iterator[DecomposeUnit]:
            for start in range(0, len(track), self.span):
                here = slice(start, min(start + self.span, len(track)))
                stretch = tuple(framing.stretch[here].tolist())
                rows = track.read(here.start, here.stop)
                yield DecomposeUnit(path, start, rows, framing.squares[here], framing.base[here], stretch, timestamp(times, start))

        def timed() -> Iterator[DecomposedSpan]:
            for span in self.engine.map(decompose_span, units()):
                watch.add(span.seconds)
                yield span

        def make() -> Iterator[Record]:
            self.progress.start(f"decompose {path.name}", len(track))
            return fill_gaps(timed(), face.max_gap)

        return self.store.fill(key, facts.motion.record, make)


def source_frames(clip: Clip, rows: Tensor) -> SourceFrames:
    """Frames ``rows`` (n,), which rise or repeat, of a clip to animate, each through its square of ``framing.view``."""
    numbers = tuple(int(r) for r in rows)
    track = clip.track.read(numbers[0], numbers[-1] + 1)[rows - numbers[0]]
    return SourceFrames(clip.path, numbers, track, clip.framing.view[rows], timestamp(clip.times, numbers[0]))


def timestamp(times: Any, frame: int) -> int:
    """Of a frame of a clip with these stored times, in the clip's time base."""
    return int(times.read(frame, frame + 1).pts[0])


def input_report(path: Path, kind: str) -> InputReport:
    """The report of an input, with its content digest. Raises MediaError when the file cannot be read."""
    return InputReport(str(path), kind, content_digest(path))


def _face_options(face: Face) -> dict[str, Any]:
    """The options that decide a track."""
    return {"select": face.select, "max_gap": face.max_gap, "crop_ratio": face.crop_ratio, "min_score": face.min_score,
            "following": FOLLOWING_VERSION}  # fmt: skip
