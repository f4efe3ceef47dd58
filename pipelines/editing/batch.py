"""Edits on any engine: as a batch of reenactments, with the motion taken attribute by attribute."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor

from mmfa_components.geometry.edit import apply_edit
from mmfa_components.records import Record, Timestamps
from pipelines.config.schema import Face, Job, as_tables
from pipelines.editing.latent_shift import LatentSpace
from pipelines.editing.limits import turned_far
from pipelines.editing.schema import EditJob, EditPlan
from pipelines.editing.timeline import Follower, Source, Timeline, follow, timeline_of
from pipelines.media import STILLS, probe
from pipelines.reports.run_report import JobReport
from pipelines.runs.batch import Batch, first_square, squares_text, warnings_of
from pipelines.runs.clips import Clip, source_frames
from pipelines.runs.film import Film, segments, write_film, write_still
from pipelines.runs.job_keys import job_face, job_key, motion_text, write_notes
from pipelines.runs.sealing import seal_of
from pipelines.runs.sheet import choose_moments
from pipelines.stages.clock import frames_shown, seconds_of
from pipelines.stages.encode import Portrait
from pipelines.stages.motion_file import RecordRows, is_motion_file, motion_beside, write_result_motion
from pipelines.stages.render import RenderUnit
from pipelines.stages.transfer import smoothing_radius

NO_REGIONS = "this animator or these landmarks know no regions of the face: eyes and mouth move with the rest"


@attrs.frozen(eq=False)
class _Work:
    """A job whose inputs are ready. own: reads the source's motion.  shown: (N,) the frame of a source video at each of the result."""

    source: Source
    line: Timeline
    followers: dict[str, Follower]
    own: Callable[[int, int], Record]
    shown: Tensor


class EditBatch(Batch):
    """Runs the jobs of an EditPlan; order, memory of inputs and failures are those of Batch."""

    space: LatentSpace | None = None
    """The expression's latent space, where ``motion.latent`` asks for it."""

    @property
    def _plan(self) -> EditPlan:
        assert isinstance(self.plan, EditPlan)
        return self.plan

    def key(self, job: Job) -> str:
        """See Batch: the reenactment's key with the edit and the content of the other clips."""
        plan = self._plan
        source, driving = self.input(job.source), self.input(job.driving)
        base = job_key(plan.pipeline, job, self.engine.facts, source.digest, driving.digest)
        clips = {name: self.input(path).digest for name, path in plan.clips.items() if name in plan.edit.clips}
        body: list[Any] = [base, job.output.suffix, as_tables(plan.motion), attrs.asdict(plan.timing), clips]
        if self.space is not None:
            body.append(self.space.fingerprint)
        return hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode()).hexdigest()

    def prepare(self, job: Job, report: JobReport) -> Callable[[], int]:
        """See Batch."""
        assert isinstance(job, EditJob)
        plan, edit = self._plan, self._plan.edit
        face, kind = job_face(plan.pipeline, job), self.engine.facts.motion
        smooth = face.smooth
        driving = self.clip(job.driving, face) if job.driven else None
        source = self.source(job.source, face)
        others = {name: self._other(plan.clips[name], face) for name in edit.clips if name}
        line = timeline_of(source, driving, list(others.values()), edit, plan.timing)
        followers: dict[str, Follower] = {}
        if driving is not None:
            followers[""] = follow(driving, line, kind, True, plan.motion.reference, smooth, plan.timing.beyond)
            report.reference = followers[""].reference
        for name, clip in others.items():
            followers[name] = follow(clip, line, kind, False, "auto", smooth, plan.timing.beyond)
        used = {c.path: c for c in (driving, source, *others.values()) if isinstance(c, Clip)}
        report.warnings += [text for clip in used.values() for text in warnings_of(clip)]
        report.warnings += source.notes if isinstance(source, Portrait) else ()
        if driving is not None:
            report.lost, report.bridged = driving.report.lost, driving.report.bridged
        radius = smoothing_radius(smooth, float(source.info.rate)) if isinstance(source, Clip) else 0

        shown = torch.empty(0, dtype=torch.long)
        if isinstance(source, Clip):
            shown = frames_shown(seconds_of(source.times, source.frames, source.info.time_base), line.seconds(0, line.frames))

        def own(start: int, stop: int) -> Record:
            return source.own_motion(shown[start:stop], kind, radius) if isinstance(source, Clip) else source.motion

        if edit.regional and not self.engine.facts.regional:
            report.warnings.append(NO_REGIONS)
        return lambda: self._make(job, report, _Work(source, line, followers, own, shown))

    def _make(self, job: EditJob, report: JobReport, work: _Work) -> int:
        output, facts, line = self.plan.pipeline.output, self.engine.facts, work.line
        report.side = self.side(work.source)
        units = list(self._edited(work))
        whole = type(units[0].driving).concatenate([unit.driving for unit in units])
        plain = whole.plain(facts.motion.record)
        report.warnings += turned_far(plain, work.own(0, line.frames))
        moments = choose_moments(RecordRows(plain), 0, facts.motion) if line.frames > 1 else [0]
        leader = work.followers[""].clip if "" in work.followers else None
        notes = {
            "key": report.key, "frames": line.frames, "reference": report.reference,
            "lost": report.lost, "bridged": report.bridged,
            "moments": moments, "source_square": squares_text(first_square(work.source)[None])[0],
            **({"side": report.side} if self.viewing is not None else {}),
            **({"source_shown": work.shown[moments].tolist()} if isinstance(work.source, Clip) else {}),
            **({"driving_squares": squares_text(leader.framing.squares[moments])} if isinstance(leader, Clip) else {}),
        }  # fmt: skip
        origin = motion_text(*[self.input(f.clip.path) for f in work.followers.values() if isinstance(f.clip, Clip)])
        metadata = write_notes(notes, facts, f"edited; {origin}" if origin else "edited")
        seal = seal_of(self.plan.pipeline.provenance, job.output, metadata)
        self.progress.start(report.name, line.frames)
        if job.output.suffix.lower() in STILLS:
            report.seconds = write_still(self.engine, job.output, units[0], work.source, output, metadata, seal)
        else:
            sound = line.sound if output.audio else None
            film = Film(job.output, line.info.time_base, line.info.rate, line.times, sound, metadata, seal, report.warnings.append)
            report.seconds = write_film(self.engine, film, units, work.source, output, side=report.side)
        if output.motion:
            times = RecordRows(Timestamps(line.pts.long()))
            write_result_motion(motion_beside(job.output), RecordRows(whole), times, line.info, facts, work.source.square, job.source.name)
        return line.frames

    def _edited(self, work: _Work) -> Iterator[RenderUnit]:
        """The result's motion and what it is rendered with, span by span; motion is small, and other records stay where they are."""
        edit, kind = self._plan.edit, self.engine.facts.motion
        for start, stop in segments(work.line.frames):
            takes = {name: follower.take(start, stop) for name, follower in work.followers.items()}
            own = work.own(start, stop)
            motion = apply_edit(own, edit, takes, work.line.seconds(start, stop), kind)
            if self.space is not None:
                motion = self.space.shift(motion, self._plan.motion.latent, kind)
            source = work.source
            if isinstance(source, Portrait):
                yield RenderUnit(start, motion, own, source.identity, view=source.view)
            else:
                yield RenderUnit(start, motion, own, source_frames(source, work.shown[start:stop], self.viewing))

    def _other(self, path: Path, face: Face) -> Source:
        """A clip, motion file or picture that attributes are taken from; its face is the largest whatever the job's choice."""
        face = attrs.evolve(face, select="largest")
        if is_motion_file(path) or probe(path).kind == "video":
            return self.clip(path, face)
        return self.source(path, face)
