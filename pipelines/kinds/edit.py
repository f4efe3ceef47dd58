"""Kind "edit": the motion of portraits and videos taken attribute by attribute, and edited by hand."""

from __future__ import annotations

from typing import Any

import attrs
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mmfa_components.geometry.edit import Channel
from mmfa_components.registry import Registry
from pipelines.editing.plan import load_edit, settings_of
from pipelines.editing.schema import EditPipeline, EditPlan
from pipelines.kinds import Kind
from pipelines.reports.run_report import RunReport


def facts(plan: EditPlan, registry: Registry) -> dict[str, Any]:
    """The plan as plain data."""
    jobs = []
    for job in plan.jobs:
        driving = str(job.driving) if getattr(job, "driven", True) else ""
        jobs.append({"source": str(job.source), "driving": driving, "output": str(job.output), "exists": job.output.exists()})
    return {"pipeline": str(plan.origin), "jobs": jobs, "settings": settings_of(plan)}


def describe(plan: EditPlan, registry: Registry) -> RenderableType:
    """The plan for people: the results, and where each attribute comes from."""
    jobs = Table(title=f"{len(plan.jobs)} results", title_justify="left")
    for name in ("source", "driving clip", "result"):
        jobs.add_column(name, overflow="fold")
    for job in facts(plan, registry)["jobs"]:
        note = "  (exists: skipped if unchanged)" if job["exists"] and not plan.pipeline.output.overwrite else ""
        jobs.add_row(*map(Text, (job["source"], job["driving"] or "none", job["output"] + note)))
    motion = Table(title="motion", title_justify="left")
    for name in ("attribute", "comes from"):
        motion.add_column(name, overflow="fold")
    for name, channel in plan.edit.channels().items():
        motion.add_row(Text(name), Text(words(name, channel)))
    engine = plan.pipeline.engine
    lines = [
        f"cache     {plan.pipeline.cache.folder} ({plan.pipeline.cache.mode})",
        f"output    {plan.pipeline.output.folder}, as {plan.pipeline.output.frame}",
        f"engine    {engine.name} on {engine.device}, precision {engine.precision}",
    ]
    return Group(Text(f"{plan.origin}: {plan.pipeline.description}"), jobs, motion, Text("\n".join(lines)))


def words(name: str, channel: Channel) -> str:
    """One attribute in words."""
    clip = f"clip {channel.clip!r}" if channel.clip else "the driving clip"
    text = {
        "whole": "as the whole", "source": "the source", "relative": f"the source, changed as {clip} changes",
        "absolute": clip, "constant": f"{channel.value:g}", "curve": f"a curve of {len(channel.keys)} keys",
    }[channel.origin]  # fmt: skip
    if channel.amount != 1.0:
        text += f", {channel.amount:g} times"
    if channel.keys and channel.origin != "curve":
        text += f", {'times' if name in ('expression', 'eyes', 'mouth') else 'plus'} a curve of {len(channel.keys)} keys"
    return text + (f", {channel.offset:+g}" if channel.offset else "")


def run(plan: EditPlan, registry: Registry, console: Console) -> RunReport:
    """Run the edits."""
    from pipelines.editing.batch import EditBatch
    from pipelines.editing.latent_shift import build_space
    from pipelines.editing.strip import write_strips
    from pipelines.runs.run import run_plan

    space = build_space(plan.vae, plan.pipeline.weights, registry) if plan.motion.latent else None

    def batch(*given: Any) -> EditBatch:
        made = EditBatch(*given)
        made.space = space
        return made

    report = run_plan(plan, registry, console, batch, write_strips)
    return attrs.evolve(report, pipeline=settings_of(plan))


KIND = Kind(load_edit, describe, facts, run, EditPipeline)
