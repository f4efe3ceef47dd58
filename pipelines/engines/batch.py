"""A whole batch on any engine: order of work, what is skipped, what fails, what is reported."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from mmfa_components.errors import MMFAError
from mmfa_components.geometry.transfer import transfer_motion
from mmfa_components.records import Motion
from pipelines.config.schema import Face, Job, Plan
from pipelines.engines.base import Engine
from pipelines.engines.clips import Clip, Preparation, input_report
from pipelines.engines.failures import describe
from pipelines.engines.job_keys import job_face, job_key, job_reference, motion_text, read_notes, write_notes
from pipelines.engines.progress import Progress
from pipelines.engines.sheet import choose_moments
from pipelines.engines.writing import Film, write_film
from pipelines.media import probe
from pipelines.reports.run_report import InputReport, JobReport, RunReport
from pipelines.stages.encode import Portrait
from pipelines.stages.render import RenderUnit, SourceFrames
from pipelines.stages.transfer import find_reference, held, modes_of, read_motion, smoothing_radius


@attrs.define
class Batch:
    """Runs the jobs of a plan one after the other, grouped by source, so that only one portrait is held at a time."""

    plan: Plan
    engine: Engine
    preparation: Preparation
    progress: Progress
    report: RunReport
    _digests: dict[Path, InputReport | MMFAError] = attrs.field(factory=dict)
    _clips: dict[tuple[Path, str | int], Clip | Exception] = attrs.field(factory=dict)
    _portrait: tuple[tuple[Path, str | int], Portrait | Exception] | None = None

    def run(self) -> None:
        """Run every job. Failures are recorded; KeyboardInterrupt passes through with the jobs left marked as such."""
        by_source: dict[Path, list[tuple[Job, JobReport]]] = {}
        for job, report in zip(self.plan.jobs, self.report.jobs, strict=True):
            by_source.setdefault(job.source, []).append((job, report))
        for group in by_source.values():
            for job, report in group:
                try:
                    self._job(job, report)
                except Exception as error:  # one bad job must not stop the others
                    report.status, report.error = "failed", describe(error, f"{job.source.name} x {job.driving.name}")
                    self.progress.job_done(f"FAILED {report.name}\n  {report.error}")

    # ---- one job -------------------------------------------------------------------------------------------------
    def _job(self, job: Job, report: JobReport) -> None:
        pipeline = self.plan.pipeline
        source_report, driving_report = self._input(job.source), self._input(job.driving)
        report.key = job_key(pipeline, job, self.engine.facts, source_report.digest, driving_report.digest)
        notes = {} if pipeline.output.overwrite else read_notes(job.output)
        if notes.get("key") == report.key:
            report.status, report.frames = "skipped", int(notes.get("frames", 0))
            report.lost, report.bridged, report.reference = notes.get("lost", []), notes.get("bridged", []), notes.get("reference")
            self.progress.job_done(f"up to date: {job.output}")
            return
        face = job_face(pipeline, job)
        clip = self._clip(job.driving, face)
        source = self._source(job.source, face)
        report.lost, report.bridged = clip.report.lost, clip.report.bridged
        report.warnings += _warnings(clip)
        start = time.monotonic()
        self._write(job, report, source, clip)
        report.wall = round(time.monotonic() - start, 3)
        report.frames, report.status = clip.frames, "done"
        report.frames_per_second = round(clip.frames / max(report.wall, 1e-6), 3)
        for warning in report.warnings:
            self.progress.say(f"  warning: {warning}")
        self.progress.job_done(f"{job.output} ({report.frames} frames, {report.frames_per_second:.1f} frames/s)")

    def _write(self, job: Job, report: JobReport, source: Portrait | Clip, clip: Clip) -> None:
        pipeline, output = self.plan.pipeline, self.plan.pipeline.output
        radius = smoothing_radius(pipeline.face.smooth, float(clip.info.rate))
        report.reference = find_reference(clip.motion, clip.track, job_reference(pipeline, job), str(job.driving))
        reference = read_motion(clip.motion, report.reference, report.reference + 1, radius)
        notes = {
            "key": report.key,
            "frames": clip.frames,
            "reference": report.reference,
            "lost": report.lost,
            "bridged": report.bridged,
            "moments": choose_moments(clip.motion, report.reference),
            "driving_square": [round(float(v), 3) for v in clip.square],
            "source_square": [round(float(v), 3) for v in source.square],
        }
        info, times = clip.info, clip.times
        film = Film(
            job.output, info.time_base, info.rate, lambda first, stop: times.read(first, stop).pts.tolist(),
            job.driving if output.audio and info.has_audio else None, write_notes(notes, self.engine.facts, motion_text(clip.report)),
        )  # fmt: skip
        self.progress.start(f"{job.source.name} moved by {job.driving.name}", clip.frames)
        report.seconds = write_film(self.engine, film, self._units(source, clip, reference, radius), source, output)

    def _units(self, source: Portrait | Clip, clip: Clip, reference: Motion, radius: int) -> Iterator[RenderUnit]:
        modes, span = modes_of(self.plan.pipeline.transfer), self.plan.pipeline.engine.span
        for start in range(0, clip.frames, span):
            stop = min(start + span, clip.frames)
            driving = read_motion(clip.motion, start, stop, radius)
            if isinstance(source, Clip):
                own = held(source.motion, start, stop, smoothing_radius(self.plan.pipeline.face.smooth, float(source.info.rate)))
                identity: Any = SourceFrames(source.path, source.frames, source.square)
            else:
                own, identity = source.motion, source.identity
            yield RenderUnit(start, transfer_motion(own, driving, reference, modes), own, identity)

    # ---- inputs, each prepared once ------------------------------------------------------------------------------
    def _input(self, path: Path) -> InputReport:
        if path not in self._digests:
            try:
                self._digests[path] = input_report(path, "")
                self.report.inputs.append(self._digests[path])  # type: ignore[arg-type]
            except MMFAError as error:
                self._digests[path] = error
        known = self._digests[path]
        if isinstance(known, MMFAError):
            raise known
        return known

    def _clip(self, path: Path, face: Face) -> Clip:
        key = path, face.select  # all other options of the face are the pipeline's
        if key not in self._clips:
            report = self._input(path)
            report.kind = "video"
            try:
                self._clips[key] = self.preparation.clip(path, face, report)
            except Exception as error:  # remembered: every job with this clip fails for the same reason
                self._clips[key] = error
        clip = self._clips[key]
        if isinstance(clip, Exception):
            raise clip
        return clip

    def _source(self, path: Path, face: Face) -> Portrait | Clip:
        if probe(path).kind == "video":
            return self._clip(path, face)
        key = path, face.select
        if self._portrait is None or self._portrait[0] != key:
            report = self._input(path)
            report.kind = "image"
            self._portrait = None
            try:
                self._portrait = key, self.preparation.portrait(path, face, report)
            except Exception as error:
                self._portrait = key, error
        portrait = self._portrait[1]
        if isinstance(portrait, Exception):
            raise portrait
        return portrait


def _warnings(clip: Clip) -> list[str]:
    texts = [f"{clip.path.name}: {text}" for text in clip.report.warnings]
    if not texts and clip.info.frames and clip.frames < clip.info.frames:
        texts.append(f"{clip.path.name}: only {clip.frames} of {clip.info.frames} frames could be read")
    if clip.report.lost:
        texts.append(f"{clip.path.name}: no face in frames {', '.join(clip.report.lost)}; the last motion is repeated there")
    return texts
