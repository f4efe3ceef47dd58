"""Kind "decompose": clips into the motion cache, for training the VAE or to have it ready."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
from attrs.validators import in_, instance_of
from rich.console import Console, RenderableType
from rich.text import Text

from mmfa_components.registry import Registry
from pipelines.config.components import check_components, named_parts
from pipelines.config.faults import Faults
from pipelines.config.inputs import find_files
from pipelines.config.load import read_pipeline
from pipelines.config.schema import Cache, Engine, Face, Part, Pipeline, as_tables, part
from pipelines.kinds import Kind, Report
from pipelines.runs.check import check_engine


@attrs.frozen
class Clips:
    """files: videos, each a path or a glob."""

    files: tuple[str, ...] = ()


@attrs.frozen
class MotionOutput:
    """motion: folder for the motion of each clip as a portable file (docs/motion.md), "" for none."""

    motion: str = ""


@attrs.frozen
class DecomposePipeline:
    """A whole file of this kind; the tables are those of batch_reenact.toml."""

    kind: str = attrs.field(default="decompose", validator=[instance_of(str), in_(("decompose",))])
    description: str = ""
    inputs: Clips = attrs.field(factory=Clips)
    face: Face = attrs.field(factory=Face)
    animator: Part = part("animator")
    cache: Cache = attrs.field(factory=Cache)
    engine: Engine = attrs.field(factory=Engine)
    weights: dict[str, str] = attrs.field(factory=dict)
    output: MotionOutput = attrs.field(factory=MotionOutput)


@attrs.frozen
class DecomposePlan:
    """The clips, and the pipeline whose tables are used. motion: folder for motion files, None for none."""

    pipeline: Pipeline
    files: tuple[Path, ...]
    origin: Path
    motion: Path | None = None


def load(path: Path, overrides: Sequence[str], registry: Registry) -> DecomposePlan:
    """A checked plan. Raises ConfigError listing every fault."""
    faults = Faults()
    read = read_pipeline(path, overrides, DecomposePipeline, faults)
    tables = {f.name: getattr(read, f.name) for f in attrs.fields(DecomposePipeline) if f.name not in ("kind", "inputs", "output")}
    pipeline = named_parts(Pipeline(**tables), registry)
    check_components(pipeline, registry, faults)
    check_engine(pipeline, faults)
    if pipeline.cache.mode != "use":
        faults.add("cache.mode", "a cache that is not written leaves nothing behind", 'set cache.mode = "use"')
    if not read.inputs.files and not faults.touches("inputs"):
        faults.add("inputs.files", "names no file", "list paths or globs of videos")
    files = find_files(read.inputs.files, "inputs.files", path.resolve().parent, faults)
    faults.raise_if_any(str(path))
    motion = Path(read.output.motion).expanduser() if read.output.motion else None
    return DecomposePlan(pipeline, tuple(dict.fromkeys(files)), path, motion)


def facts(plan: DecomposePlan, registry: Registry) -> dict[str, Any]:
    """The plan as plain data."""
    return {"pipeline": str(plan.origin), "files": [str(f) for f in plan.files], "settings": as_tables(plan.pipeline)}


def describe(plan: DecomposePlan, registry: Registry) -> RenderableType:
    """The plan for people."""
    engine = plan.pipeline.engine
    lines = [
        f"{plan.origin}: {plan.pipeline.description}",
        f"clips     {len(plan.files)}, each followed and decomposed once by {plan.pipeline.animator.name}",
        f"cache     {plan.pipeline.cache.folder}" + (f"; motion files in {plan.motion}" if plan.motion else ""),
        f"engine    {engine.name} on {engine.device}, precision {engine.precision}",
    ]
    return Text("\n".join(lines))


def run(plan: DecomposePlan, registry: Registry, console: Console) -> Report:
    """Decompose all clips."""
    from pipelines.runs.decompositions import decompose_all

    return decompose_all(plan.pipeline, plan.files, registry, console, plan.motion)


KIND = Kind(load, describe, facts, run, DecomposePipeline)
