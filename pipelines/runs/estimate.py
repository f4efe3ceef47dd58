"""How long a run will take: speeds measured in earlier runs, put through the simulation of the real order of work.

Speeds are kept in ``speeds.json`` beside the motion cache, one line for each system, device setting and engine. Where none were
measured, those of the shipped system on two CPU cores stand in, and the estimate says so.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from pipelines.config.schema import Pipeline
from pipelines.remote import is_url
from pipelines.reports.run_report import RunReport
from pipelines.runs.simulate import Model, simulate
from pipelines.runs.steps import Costs

FILE = "speeds.json"
OLD = 0.5
"""Weight of what is known when a run measures anew."""


@attrs.frozen
class Speeds:
    """Seconds a frame to track, decompose, render and write; start: seconds until work begins; frames: measured on so many rendered
    ones, 0 when these are the stand-ins."""

    track: float = 0.025
    decompose: float = 0.055
    render: float = 0.16
    write: float = 0.006
    start: float = 4.0
    frames: int = 0


def speeds_key(pipeline: Pipeline) -> str:
    """What speeds belong to: the components as configured, device, precision, threads, engine and this machine."""
    engine = pipeline.engine
    parts = [attrs.asdict(p) for p in (pipeline.face.detector, pipeline.face.landmarks, pipeline.animator)]
    what = [parts, engine.device, engine.precision, engine.batch, engine.threads, pipeline.output.frame, os.uname().nodename]
    what += [pipeline.output.side] if pipeline.output.side != "auto" else []
    digest = hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:12]
    return f"{pipeline.animator.name} {engine.name} {engine.device} {engine.precision} {digest}"


def read_speeds(pipeline: Pipeline) -> Speeds:
    """The speeds measured before, or the stand-ins."""
    try:
        known = json.loads((Path(pipeline.cache.folder) / FILE).read_text(encoding="utf-8"))
        return Speeds(**known[speeds_key(pipeline)])
    except (OSError, ValueError, KeyError, TypeError):
        return Speeds()


def keep_speeds(pipeline: Pipeline, speeds: Speeds) -> None:
    """Write measured speeds beside the cache; nothing happens where that cannot be written."""
    if pipeline.cache.mode != "use" or is_url(pipeline.cache.folder):
        return
    path = Path(pipeline.cache.folder) / FILE
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        known[speeds_key(pipeline)] = attrs.asdict(speeds)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{FILE}.{os.getpid()}")
        temporary.write_text(json.dumps(known, indent=1, sort_keys=True), encoding="utf-8")
        temporary.replace(path)


def measure(report: RunReport, before: Speeds) -> Speeds:
    """Speeds of a run, mixed with those known before; a stage the run had no use for keeps its old speed."""
    clips = [i for i in report.inputs if i.kind == "video" and i.frames]
    done = [j for j in report.jobs if j.status == "done"]
    tracked = [c for c in clips if not c.cached.get("track", True)]
    moved = [c for c in clips if not c.cached.get("motion", True)]

    def per_frame(old: float, seconds: float, frames: int) -> float:
        if not frames or not seconds:
            return old
        return seconds / frames if not before.frames else OLD * old + (1 - OLD) * seconds / frames

    def spent(items: Sequence[Any], *stages: str) -> float:
        return float(sum(item.seconds.get(stage, 0.0) for item in items for stage in stages))

    def frames(items: Sequence[Any]) -> int:
        return int(sum(item.frames for item in items))

    return Speeds(
        per_frame(before.track, spent(tracked, "track"), frames(tracked)),
        per_frame(before.decompose, spent(moved, "decode", "decompose"), frames(moved)),
        per_frame(before.render, spent(done, "render", "encode", "decode"), frames(done)),
        per_frame(before.write, spent(done, "paste", "write"), frames(done)),
        report.start_seconds if not before.frames else OLD * before.start + (1 - OLD) * report.start_seconds,
        before.frames + frames(done),
    )


def assumed_workers(pipeline: Pipeline) -> int:
    """Workers a plan reckons with, when no cluster is asked: those of the file, else as many as this machine has room for."""
    engine = pipeline.engine
    if engine.name != "ray":
        return 1
    import torch

    cpus = engine.ray.cpus or engine.threads or torch.get_num_threads()
    return engine.ray.max_actors or engine.ray.min_actors or max(1, int((os.cpu_count() or 1) // cpus))


def wall_time(
    pipeline: Pipeline, speeds: Speeds, clips: Mapping[Hashable, int], jobs: Sequence[tuple[tuple[Hashable, ...], int]], workers: int
) -> float:
    """Seconds that a batch of clips (frames by key) and jobs (clips needed, frames) will take."""
    engine = pipeline.engine
    model = Model(
        Costs(speeds.track, speeds.decompose, speeds.render), speeds.write, start=speeds.start, workers=workers, span=engine.span,
        window=engine.ray.window if engine.name == "ray" else 2, jobs=engine.ray.jobs if engine.name == "ray" else 1,
        writers=max(1, (os.cpu_count() or 2) // 2),
    )  # fmt: skip
    return simulate(clips, jobs, model).wall


def compare(pipeline: Pipeline, report: RunReport, before: Speeds, workers: int) -> dict[str, Any]:
    """For the run report: what the speeds known before the run say of the work it turned out to be, and what it took."""
    clips: dict[Hashable, int] = {i.path: i.frames for i in report.inputs if i.kind == "video" and not i.cached.get("motion", True)}
    jobs = [(tuple(k for k in (j.driving, j.source) if k in clips), j.frames) for j in report.jobs if j.status == "done"]
    if not jobs:
        return {}
    wall = wall_time(pipeline, before, clips, jobs, workers)
    return {
        "estimated_wall": round(wall, 1),
        "measured_wall": report.wall,
        "ratio": round(report.wall / wall, 3),
        "workers": workers,
        "speeds": f"measured on {before.frames} frames before" if before.frames else "stand-ins: nothing was measured before this run",
    }
