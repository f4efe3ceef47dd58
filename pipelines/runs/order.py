"""The order of a batch: by source when one thing is done at a time, else by what the longest chains of work need."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from mmfa_components.errors import MMFAError
from pipelines.config.schema import Face, Job, Plan
from pipelines.engines.base import Engine
from pipelines.media import MediaInfo, probe
from pipelines.reports.run_report import JobReport, RunReport
from pipelines.runs.job_keys import job_face
from pipelines.runs.parallel import run_steps
from pipelines.runs.progress import Progress
from pipelines.runs.steps import Step, Steps
from pipelines.stages.worker import Stopped

LOOKERS = 8
"""Threads that look at input files."""


class Jobs(Protocol):
    """What is ordered here: a batch; see pipelines.runs.batch.Batch for what its members are."""

    plan: Plan
    engine: Engine
    progress: Progress
    report: RunReport

    def job(self, number: int) -> None: ...
    def clip(self, path: Path, face: Face) -> Any: ...
    def input(self, path: Path) -> Any: ...
    def is_finished(self, job: Job, report: JobReport) -> bool: ...


def by_source(jobs: Sequence[Job]) -> list[int]:
    """Numbers of the jobs grouped by source, so that only one portrait is held at a time."""
    groups: dict[Path, list[int]] = {}
    for number, job in enumerate(jobs):
        groups.setdefault(job.source, []).append(number)
    return [number for group in groups.values() for number in group]


def run_in_parallel(batch: Jobs) -> None:
    """Look at all inputs, leave out what is finished, then run the rest with several clips and results in flight."""
    jobs, engine = batch.plan.jobs, batch.engine
    infos = _look(batch)
    left = [number for number in range(len(jobs)) if batch.report.jobs[number].status == "left"]
    faces = {number: job_face(batch.plan.pipeline, jobs[number]) for number in left}
    clips: dict[tuple[Path, str | int], tuple[int, Face]] = {}
    needs: list[tuple[tuple[tuple[Path, str | int], ...], int]] = []
    for number in left:
        job, face = jobs[number], faces[number]
        videos = [path for path in (job.driving, job.source) if path in infos and infos[path].kind == "video"]
        keys = tuple(dict.fromkeys((path, face.select) for path in videos))
        for key in keys:
            clips[key] = infos[key[0]].frames or 0, face
        needs.append((keys, (infos[job.driving].frames or 0) if job.driving in infos else 0))
    steps = Steps({key: frames for key, (frames, _) in clips.items()}, needs, engine.workers)
    batch.progress.expect(2 * sum(frames for frames, _ in clips.values()) + sum(frames for _, frames in needs))

    def work(step: Step) -> None:
        if step.kind == "job":
            batch.job(left[step.key])
            return
        try:
            batch.clip(step.key[0], clips[step.key][1])
        except Stopped:
            return
        except Exception:
            pass
        finally:
            batch.progress.start("", None)

    run_steps(steps, work, engine.jobs_at_once, engine.stop)


def _look(batch: Jobs) -> dict[Path, MediaInfo]:
    """Probe and digest every input, and mark the jobs that are finished. Bad inputs are left for their jobs to fail by."""
    jobs, reports = batch.plan.jobs, batch.report.jobs
    batch.progress.start("look at the inputs", None)
    paths = list(dict.fromkeys(path for job in jobs for path in (job.source, job.driving)))

    def look(path: Path) -> MediaInfo | None:
        try:
            batch.input(path)
            return probe(path)
        except (MMFAError, OSError):
            return None

    def finished(number: int) -> None:
        try:
            batch.is_finished(jobs[number], reports[number])
        except (MMFAError, OSError):
            reports[number].key = ""

    with ThreadPoolExecutor(LOOKERS, thread_name_prefix="mmfa-look") as pool:
        infos = dict(zip(paths, pool.map(look, paths), strict=True))
        list(pool.map(finished, range(len(jobs))))
    order = {str(path): number for number, path in enumerate(paths)}
    batch.report.inputs.sort(key=lambda known: order[known.path])
    batch.progress.start("", None)
    return {path: info for path, info in infos.items() if info is not None}
