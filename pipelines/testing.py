"""Checks for plugin authors that need the whole system: an animator through batch, cache, motion file and engines.

``mmfa_components.testing.check_animator`` comes first: it looks at the animator alone.
"""

from __future__ import annotations

import io
from pathlib import Path

import attrs
import torch
from rich.console import Console
from torch import Tensor

from mmfa_components.registry import Registry
from mmfa_components.testing import ConformanceError
from pipelines.config.schema import Cache, Engine, Job, Output, Pipeline, Plan, Ray, Transfer
from pipelines.media import open_video
from pipelines.reports.run_report import RunReport
from pipelines.runs.run import run_plan
from pipelines.stages.motion_file import motion_beside


def check_runs(name: str, registry: Registry, portrait: Path, clip: Path, folder: Path, pipeline: Pipeline | None = None, ray: bool = True) -> None:
    """Run an animator as users do, and see that every way gives the same pictures.

    A portrait is moved by a clip; the same again finds nothing to do; another result takes the clip's motion from the cache; the motion
    file of a result shows the same as its clip; clips cut into other spans and the workers of Ray give the same.

    Args:
        name: of the animator in ``registry``.
        portrait, clip: files with a face that the pipeline's detector finds.
        folder: an empty folder for results and cache.
        pipeline: with other tables than the default ones, such as the face detector.
        ray: also try two workers of Ray on this machine.

    Raises:
        ConformanceError: naming the first way that differs or fails.
    """
    base = attrs.evolve(
        pipeline or Pipeline(),
        animator=attrs.evolve((pipeline or Pipeline()).animator, name=name),
        cache=Cache(str(folder / "cache")),
        output=Output(str(folder / "first"), motion=True, contact_sheet=""),
        engine=Engine(device="cpu", precision="float32", batch=2, span=8, threads=1),
    )
    first = _run(base, registry, portrait, clip, "a clip")
    wanted = _frames(first)
    if _run(base, registry, portrait, clip, "the same again", status="skipped") != first:
        raise ConformanceError("a finished result is not found again", where=f"animator {name!r}")

    def same(pipeline: Pipeline, driving: Path, where: str, text: str) -> None:
        moved = attrs.evolve(pipeline, output=Output(str(folder / where), contact_sheet=""))
        got = _frames(_run(moved, registry, portrait, driving, text))
        if got.shape != wanted.shape or not torch.equal(got, wanted):
            raise ConformanceError(f"{text} gives other pictures than the clip", where=f"animator {name!r}")

    same(base, clip, "cached", "motion from the cache")
    fresh = attrs.evolve(base, cache=Cache(mode="off"), engine=attrs.evolve(base.engine, span=5))
    same(fresh, clip, "spans", "a clip cut into other spans")
    absolute = attrs.evolve(base, transfer=Transfer(default="absolute"), face=attrs.evolve(base.face, smooth=0.0))
    same(absolute, motion_beside(first), "file", "the motion file of the result")
    if ray:
        engine = attrs.evolve(fresh.engine, name="ray", ray=Ray(min_actors=2, max_actors=2))
        same(attrs.evolve(fresh, engine=engine), clip, "ray", "a run on Ray")


def _run(pipeline: Pipeline, registry: Registry, portrait: Path, driving: Path, text: str, status: str = "done") -> Path:
    output = Path(pipeline.output.folder) / "result.mp4"
    plan = Plan(pipeline, (Job(portrait, driving, output),), output.parent / "check.toml")
    report: RunReport = run_plan(plan, registry, Console(file=io.StringIO()))
    job = report.jobs[0]
    if job.status != status:
        why = f": {job.error}" if job.error else ""
        raise ConformanceError(f"{text}: the job is {job.status}, not {status}{why}", where=f"animator {pipeline.animator.name!r}")
    return output


def _frames(path: Path) -> Tensor:
    with open_video(path) as reader:
        return torch.cat([span.rgb for span in reader.spans(32)])
