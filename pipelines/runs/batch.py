"""A whole batch on any engine: what is skipped, what fails, what is reported; see batch_order.py for the order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import torch
from torch import Tensor

from mmfa_components.records import Record
from pipelines.config.schema import Face, Job, Plan
from pipelines.engines.base import Engine
from pipelines.media import probe
from pipelines.reports.run_report import InputReport, JobReport, RunReport
from pipelines.runs.clips import Clip, Preparation, input_report, source_frames
from pipelines.runs.failures import describe
from pipelines.runs.film import Film, write_film
from pipelines.runs.foreign import refuse_foreign
from pipelines.runs.job_keys import job_face, job_key, job_reference, motion_text, read_notes, write_notes
from pipelines.runs.order import by_source, run_in_parallel
from pipelines.runs.parallel import Once, Uses
from pipelines.runs.progress import Progress
from pipelines.runs.sealing import seal_of
from pipelines.runs.sheet import choose_moments
from pipelines.stages.clock import frames_shown, seconds_of
from pipelines.stages.encode import Portrait
from pipelines.stages.framing import made_up
from pipelines.stages.motion_file import RecordRows, motion_beside, write_result_motion
from pipelines.stages.references import References, find_references
from pipelines.stages.render import RenderUnit
from pipelines.stages.transfer import Carry, modes_of, read_motion, smoothing_radius
from pipelines.stages.worker import Stopped


@attrs.define
class Batch:
    """Runs the jobs of a plan: one after the other, or several at once where the engine has workers for them.

    Each input is looked at, each clip prepared and each portrait encoded once; a portrait is let go with its last job.
    """

    plan: Plan
    engine: Engine
    preparation: Preparation
    progress: Progress
    report: RunReport
    _inputs: Once[Path, InputReport] = attrs.field(factory=Once)
    _clips: Once[tuple[Path, str | int], Clip] = attrs.field(factory=Once)
    _portraits: Once[tuple[Path, str | int], Portrait] = attrs.field(factory=Once)
    _uses: Uses[tuple[Path, str | int]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._uses = Uses([self.source_key(job) for job in self.plan.jobs])

    def run(self) -> None:
        """Run every job. Failures are recorded; KeyboardInterrupt passes through with the jobs left marked as such."""
        if self.engine.jobs_at_once == 1:
            for number in by_source(self.plan.jobs):
                self.job(number)
        else:
            run_in_parallel(self)

    def job(self, number: int) -> None:
        """Run a job; what goes wrong is its report's."""
        job, report = self.plan.jobs[number], self.report.jobs[number]
        try:
            self._job(job, report)
        except Stopped:
            return  # the run is being stopped: the job is left
        except Exception as error:  # one bad job must not stop the others
            report.status, report.error = "failed", describe(error, f"{job.source.name} x {job.driving.name}")
            self.progress.job_done(f"FAILED {report.name}\n  {report.error}")
        finally:
            if self._uses.release(self.source_key(job)):
                self._portraits.drop(self.source_key(job))

    def source_key(self, job: Job) -> tuple[Path, str | int]:
        """What a job's source is known by: all options of the face but the choice are the pipeline's."""
        return job.source, job_face(self.plan.pipeline, job).select

    def is_finished(self, job: Job, report: JobReport) -> bool:
        """Whether the result is there and of these inputs and options; notes so in the report.

        Raises MediaError for its inputs, OutputError when a file that is not ours has the result's name.
        """
        report.key = self.key(job)
        notes = {} if self.plan.pipeline.output.overwrite else read_notes(job.output)
        if notes.get("key") != report.key:
            for made in [job.output, *([motion_beside(job.output)] if self.plan.pipeline.output.motion else [])]:
                refuse_foreign(made)
            return False
        report.status, report.frames = "skipped", int(notes.get("frames", 0))
        report.lost, report.bridged, report.reference = notes.get("lost", []), notes.get("bridged", []), notes.get("reference")
        self.progress.job_done(f"up to date: {job.output}")
        return True

    def key(self, job: Job) -> str:
        """What stands for everything that decides the job's result. Raises MediaError for its inputs."""
        source, driving = self.input(job.source), self.input(job.driving)
        return job_key(self.plan.pipeline, job, self.engine.facts, source.digest, driving.digest)

    # ---- one job -------------------------------------------------------------------------------------------------
    def _job(self, job: Job, report: JobReport) -> None:
        if report.status == "skipped" or (not report.key and self.is_finished(job, report)):
            return
        work = self.prepare(job, report)
        start = time.monotonic()
        report.frames = work()
        report.wall, report.status = round(time.monotonic() - start, 3), "done"
        report.frames_per_second = round(report.frames / max(report.wall, 1e-6), 3)
        for warning in report.warnings:
            self.progress.say(f"  warning: {warning}")
        self.progress.job_done(f"{job.output} ({report.frames} frames, {report.frames_per_second:.1f} frames/s)")

    def prepare(self, job: Job, report: JobReport) -> Callable[[], int]:
        """Make the inputs of a job ready; what is returned renders and writes its result and gives the number of frames."""
        face = job_face(self.plan.pipeline, job)
        clip = self.clip(job.driving, face)
        source = self.source(job.source, face)
        report.lost, report.bridged = clip.report.lost, clip.report.bridged
        report.warnings += warnings_of(clip) + source_warnings(source, clip)
        return lambda: self._write(job, report, source, clip)

    def _write(self, job: Job, report: JobReport, source: Portrait | Clip, clip: Clip) -> int:
        pipeline, output = self.plan.pipeline, self.plan.pipeline.output
        kind = self.engine.facts.motion
        units = self.units(job, report, source, clip)
        assert report.reference is not None
        moments = choose_moments(clip.motion, report.reference, kind)
        notes = {
            "key": report.key,
            "frames": clip.frames,
            "reference": report.reference,
            "lost": report.lost,
            "bridged": report.bridged,
            "moments": moments,
            "driving_squares": squares_text(clip.framing.squares[moments]),
            "source_square": squares_text(first_square(source)[None])[0],
        }
        info, times = clip.info, clip.times
        metadata = write_notes(notes, self.engine.facts, motion_text(clip.report))
        film = Film(
            job.output, info.time_base, info.rate, lambda first, stop: times.read(first, stop).pts.tolist(),
            job.driving if output.audio and info.has_audio else None, metadata, seal_of(pipeline.provenance, job.output, metadata),
            shown_rows(source, clip) if isinstance(source, Clip) else torch.empty(0, dtype=torch.long), report.warnings.append,
        )  # fmt: skip
        self.progress.start(f"{job.source.name} moved by {job.driving.name}", clip.frames)
        moved: list[Record] | None = [] if output.motion else None
        report.seconds = write_film(self.engine, film, units, source, output, moved)
        if moved:
            rows = RecordRows(kind.record.concatenate(moved))
            write_result_motion(motion_beside(job.output), rows, times, info, self.engine.facts, source.square, job.driving.name)
        return clip.frames

    def units(self, job: Job, report: JobReport, source: Portrait | Clip, clip: Clip) -> Iterator[RenderUnit]:
        """What a job renders, span by span; the report gets its reference frames. Raises ConfigError for one that is not there."""
        pipeline, kind = self.plan.pipeline, self.engine.facts.motion
        radius = smoothing_radius(pipeline.face.smooth, float(clip.info.rate))
        wanted = job_reference(pipeline, job)
        reference = find_references(clip.motion, clip.track, clip.framing.stretch, wanted, str(job.driving), kind, radius, clip.neutral)
        report.reference = reference.main
        report.references = list(reference.frames) if len(reference.frames) > 1 else []
        return self._units(source, clip, reference, radius)

    def _units(self, source: Portrait | Clip, clip: Clip, reference: References, radius: int) -> Iterator[RenderUnit]:
        span, kind = self.plan.pipeline.engine.span, self.engine.facts.motion
        modes = modes_of(self.plan.pipeline.transfer, kind)
        shown = shown_rows(source, clip) if isinstance(source, Clip) else torch.empty(0, dtype=torch.long)
        for start in range(0, clip.frames, span):
            stop = min(start + span, clip.frames)
            driving = read_motion(clip.motion, start, stop, kind, radius, clip.framing.stretch)
            carry = Carry(reference.rows(start, stop), modes)
            if isinstance(source, Clip):
                own_radius = smoothing_radius(self.plan.pipeline.face.smooth, float(source.info.rate))
                rows = shown[start:stop]
                yield RenderUnit(start, driving, source.own_motion(rows, kind, own_radius), source_frames(source, rows), carry)
            else:
                yield RenderUnit(start, driving, source.motion, source.identity, carry)

    # ---- inputs, each prepared once ------------------------------------------------------------------------------
    def input(self, path: Path) -> InputReport:
        """The report of an input, with its digest. Raises MediaError when it cannot be read."""

        def make() -> InputReport:
            known = input_report(path, "")
            self.report.inputs.append(known)
            return known

        return self._inputs.get(path, make)

    def clip(self, path: Path, face: Face) -> Clip:
        """A clip made ready; every job with it fails for the same reason when it cannot be."""

        def make() -> Clip:
            report = self.input(path)
            report.kind = "video"
            return self.preparation.clip(path, face, report)

        return self._clips.get((path, face.select), make)

    def source(self, path: Path, face: Face) -> Portrait | Clip:
        """A portrait encoded, or a video used as source made ready."""
        if probe(path).kind == "video":
            return self.clip(path, face)

        def make() -> Portrait:
            report = self.input(path)
            report.kind = "image"
            portrait = self.preparation.portrait(path, face, report)
            return attrs.evolve(portrait, identity=self.engine.keep(portrait.identity))

        return self._portraits.get((path, face.select), make)


def shown_rows(source: Clip, clip: Clip) -> Tensor:
    """Which frame of a source video is shown with each frame (N,) of a driving clip: both begin together, each has its own clock."""
    own, at = (seconds_of(c.times, c.frames, c.info.time_base) for c in (source, clip))
    return frames_shown(own, at)


def first_square(source: Portrait | Clip) -> Tensor:
    """The square (4,) a source's first frame is cropped by."""
    return source.framing.view[0] if isinstance(source, Clip) else source.square


def squares_text(squares: Tensor) -> list[list[float]]:
    """Squares (n, 4) as notes keep them."""
    return [[round(float(v), 3) for v in row] for row in squares]


def source_warnings(source: Portrait | Clip, clip: Clip | None = None) -> list[str]:
    """What the user should know about a source. clip: what drives it, if anything."""
    if isinstance(source, Portrait):
        return list(source.notes)
    name, info = source.path.name, source.info
    texts = warnings_of(source) if clip is None or source.path != clip.path else []
    texts += [f"{name}: {note}" for note in made_up(source.framing.view, info.width, info.height)]
    if clip is not None and (lasting := seconds_of(clip.times, clip.frames, clip.info.time_base)[-1]) > 0:
        own = seconds_of(source.times, source.frames, info.time_base)[-1] + 1 / float(info.rate)
        if float(lasting) > float(own) + 0.05:
            texts.append(f"{name}: ends after {float(own):.2f} s, before the driving clip does; its last frame is held")
    return texts


def followed(report: InputReport) -> list[str]:
    """What was decided about who is followed in a clip, and how, in words."""
    texts = []
    if report.cuts:
        texts.append(f"the camera changes at frame {_listed(report.cuts)}; each shot is moved from a reference frame of its own")
    if report.people:
        texts.append(f"another person is followed from frame {_listed(report.people)} on; look whether that is meant (face.select)")
    if report.follows:
        texts.append("the head travels farther than the crop reaches; the crop goes along with it")
    return texts


def _listed(frames: list[int]) -> str:
    shown = ", ".join(str(f) for f in frames[:8])
    return shown if len(frames) <= 8 else f"{shown} and {len(frames) - 8} more"


def warnings_of(clip: Clip) -> list[str]:
    """What the user should know about a clip that was used."""
    texts = [f"{clip.path.name}: {text}" for text in clip.report.warnings]
    texts += [f"{clip.path.name}: {text}" for text in followed(clip.report)]
    if clip.report.bridged:
        texts.append(f"{clip.path.name}: the face is not seen in frames {', '.join(clip.report.bridged)}; its motion is bridged there")
    if clip.report.lost:
        texts.append(f"{clip.path.name}: no face in frames {', '.join(clip.report.lost)}; the last motion is repeated there")
    return texts
