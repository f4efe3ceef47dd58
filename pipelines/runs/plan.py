"""A plan in words and figures: what would be computed, with which components, into which files (``--dry-run``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cache.motion_file import MotionFile, is_motion_file
from mmfa_components.errors import MMFAError
from mmfa_components.records import MotionKind
from mmfa_components.registry import Registry
from pipelines.config.components import Use, check_components, named_parts
from pipelines.config.faults import Faults
from pipelines.config.inputs import make_jobs
from pipelines.config.load import read_pipeline
from pipelines.config.schema import Pipeline, Plan
from pipelines.media import probe
from pipelines.remote import is_staged
from pipelines.runs.check import check_pipeline
from pipelines.runs.estimate import assumed_workers, read_speeds, wall_time
from pipelines.stages.transfer import transfer_facts

MOST_PROBED = 100
"""Input files looked into for a plan; the rest is counted only, so that a plan of thousands of clips is quick."""


def load_plan(path: Path, overrides: Sequence[str], registry: Registry) -> Plan:
    """A checked pipeline with its jobs.

    Raises ConfigError for a file that cannot be read, else one that lists every fault: keys, types, values, missing
    inputs, unknown or unfitting components, weights, codec, device.
    """
    return load_checked(path, overrides, registry)[0]


def load_checked(path: Path, overrides: Sequence[str], registry: Registry) -> tuple[Plan, list[Use]]:
    """As :func:`load_plan`, with the components in use."""
    faults = Faults()
    pipeline = named_parts(read_pipeline(path, overrides, Pipeline, faults), registry)
    uses = check_pipeline(pipeline, registry, faults)
    jobs = make_jobs(pipeline.inputs, pipeline.output, path.resolve().parent, faults)
    faults.raise_if_any(str(path))
    return Plan(pipeline, jobs, path), uses


def facts(plan: Plan, registry: Registry) -> dict[str, Any]:
    """The plan as plain data: inputs, jobs, components with origin and version, work, folders."""
    pipeline = plan.pipeline
    inputs = _inputs(plan, registry)
    clips = [path for path, known in inputs.items() if known["video"]]
    portraits = [path for path, known in inputs.items() if not known["video"]]
    counted = [inputs[path]["frames"] for path in clips]
    moved = [inputs[str(job.driving)]["frames"] for job in plan.jobs]
    return {
        "pipeline": str(plan.origin),
        "description": pipeline.description,
        "inputs": inputs,
        "jobs": [{**attrs.asdict(j, value_serializer=_plain), "exists": j.output.exists()} for j in plan.jobs],
        "components": _components(plan, registry),
        "work": {
            "clips_decomposed_once_each": len(clips),
            "portraits_encoded_once_each": len(portraits),
            "frames_decomposed": None if None in counted else sum(counted),
            "frames_rendered": None if None in moved else sum(moved),
        },
        "estimate": _estimate(plan, inputs),
        "transfer": transfer_facts(pipeline.transfer, _motion(pipeline, registry), pipeline.transfer.reference),
        "output": attrs.asdict(pipeline.output),
        "cache": attrs.asdict(pipeline.cache),
        "engine": attrs.asdict(pipeline.engine),
        "weights": dict(pipeline.weights),
    }


def describe(plan: Plan, registry: Registry) -> RenderableType:
    """The plan for people: tables of jobs and of stages, then what would be computed and where it goes."""
    known = facts(plan, registry)
    jobs = Table(title=f"{len(plan.jobs)} job{'s' if len(plan.jobs) != 1 else ''}", title_justify="left")
    for name in ("source", "driving clip", "frames", "result"):
        jobs.add_column(name, overflow="fold")
    for job in known["jobs"]:
        frames = known["inputs"][job["driving"]]["frames"]
        result = job["output"] + ("  (exists: skipped if unchanged)" if job["exists"] and not plan.pipeline.output.overwrite else "")
        jobs.add_row(*map(Text, (_near(job["source"]), _near(job["driving"]), "?" if frames is None else str(frames), result)))
    stages = Table(title="stages", title_justify="left")
    for name in ("stage", "component", "version", "from", "takes", "gives"):
        stages.add_column(name, overflow="fold")
    for row in known["components"]:
        takes, gives = ", ".join(row["needs"]), ", ".join(row["gives"])
        stages.add_row(*map(Text, (row["stage"], f"{row['kind']}/{row['name']}", row["version"], row["origin"], takes, gives)))
    title = f"{plan.origin}: {plan.pipeline.description}" if plan.pipeline.description else str(plan.origin)
    return Group(Text(title), jobs, stages, Text(_words(known)))


def _motion(pipeline: Pipeline, registry: Registry) -> MotionKind:
    motion = registry.spec("animator", pipeline.animator.name).motion
    assert motion is not None, "check_pipeline has seen to it"
    return motion


def _plain(_: Any, __: Any, value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _near(path: str) -> str:
    """A path as the user would write it: relative to the working directory when it lies inside."""
    return str(Path(path).relative_to(Path.cwd())) if Path(path).is_relative_to(Path.cwd()) else path


def _words(known: Mapping[str, Any]) -> str:
    work, output, transfer, engine = known["work"], known["output"], known["transfer"], known["engine"]
    amounts = transfer.get("amount", {})
    modes = ", ".join(
        f"{name} {mode}" + (f" x {amounts[name]:g}" if name in amounts else "")
        for name, mode in transfer.items()
        if name not in ("reference", "amount")
    )
    lines = [
        f"clips     {work['clips_decomposed_once_each']}, each followed and decomposed once ({_count(work['frames_decomposed'])} frames)",
        f"portraits {work['portraits_encoded_once_each']}, each encoded once",
        f"results   {_count(work['frames_rendered'])} frames to render, as {output['frame']}, codec {output['codec']}",
        _time(known["estimate"]),
        f"transfer  {modes}; reference frame: {transfer['reference']}",
        f"cache     {known['cache']['folder']} ({known['cache']['mode']})",
        f"output    {output['folder']}",
        f"engine    {engine['name']} on {engine['device']}, precision {engine['precision']}",
    ]
    lines += [f"weights   {name} = {file}" for name, file in known["weights"].items()]
    lines += [f"problem   {path}: {i['problem']}" for path, i in known["inputs"].items() if i["problem"]]
    return "\n".join(lines)


def _time(estimate: Mapping[str, Any]) -> str:
    seconds = estimate["wall"]
    text = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
    return f"time      about {text} on {estimate['workers']} worker{'s' if estimate['workers'] > 1 else ''}, {estimate['speeds']}"


def _estimate(plan: Plan, inputs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Wall time of the jobs whose results do not exist; clips that were not looked into count as long as the others on average."""

    pipeline = plan.pipeline
    counted = [i["frames"] for i in inputs.values() if i["video"] and i["frames"]]
    usual = round(sum(counted) / len(counted)) if counted else 250
    left = [job for job in plan.jobs if pipeline.output.overwrite or not job.output.exists()]
    clips: dict[Any, int] = {}
    jobs = []
    for job in left:
        videos = tuple(dict.fromkeys(str(p) for p in (job.driving, job.source) if inputs[str(p)]["video"] and not inputs[str(p)]["problem"]))
        clips.update({path: inputs[path]["frames"] or usual for path in videos})
        if str(job.driving) in clips:
            jobs.append((videos, clips[str(job.driving)]))
    speeds, workers = read_speeds(pipeline), assumed_workers(pipeline)
    origin = f"by speeds measured on {speeds.frames} frames" if speeds.frames else "a rough guess: nothing was measured here yet"
    wall = wall_time(pipeline, speeds, clips, jobs, workers) if jobs else 0.0
    return {"wall": round(wall, 1), "workers": workers, "speeds": f"{origin}; clips in the cache take less", "jobs": len(jobs)}


def _count(frames: int | None) -> str:
    return "unknown number of" if frames is None else f"about {frames}"


def _inputs(plan: Plan, registry: Registry) -> dict[str, dict[str, Any]]:
    """Every input file once: whether it is a video, how many frames it holds, what is wrong with it."""

    driving = {job.driving for job in plan.jobs}
    files = dict.fromkeys([job.source for job in plan.jobs] + [job.driving for job in plan.jobs])
    known: dict[str, dict[str, Any]] = {}
    for number, path in enumerate(files):
        entry: dict[str, Any] = known.setdefault(str(path), {})
        entry |= {"video": path in driving or _looks_like_video(path), "frames": None, "problem": ""}
        if number < MOST_PROBED and (not is_staged(path) or path.exists()):  # a plan fetches nothing
            try:
                if path in driving and is_motion_file(path):
                    entry.update(video=True, frames=len(MotionFile(path, registry.records, registry.motions)))
                    continue
                info = probe(path)
                entry.update(video=info.kind == "video", frames=info.frames)
                if path in driving and info.kind == "image":
                    entry["problem"] = "is a still image, but used as driving clip: its jobs will fail"
            except MMFAError as error:
                entry["problem"] = f"{error.what}: its jobs will fail"
    return known


def _looks_like_video(path: Path) -> bool:
    return path.suffix.lower() in (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".gif")


def _components(plan: Plan, registry: Registry) -> list[dict[str, Any]]:
    rows = []
    for use in check_components(plan.pipeline, registry, Faults()):
        owner = registry.owners.get((use.spec.kind, use.spec.name))
        rows.append(
            {
                "stage": use.stage,
                "kind": use.spec.kind,
                "name": use.spec.name,
                "version": use.spec.version,
                "origin": f"{owner.distribution} {owner.version}" if owner else "unknown",
                "needs": [n.__name__ for n in use.spec.needs],
                "gives": [g.__name__ for g in use.spec.gives],
                "options": attrs.asdict(use.options) if use.options is not None else {},
            }
        )
    return rows
