"""Kind "prepare_dataset": a folder of videos and portraits becomes a data set to train on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console, Group, RenderableType
from rich.text import Text

from mmfa_components.errors import ConfigError
from mmfa_components.registry import Registry
from pipelines.config.components import check_named_components
from pipelines.config.faults import Faults
from pipelines.config.load import read_pipeline
from pipelines.datasets.schema import DatasetPipeline, DatasetPlan
from pipelines.datasets.sources import find_sources
from pipelines.kinds import Kind, Report


def load(path: Path, overrides: Sequence[str], registry: Registry) -> DatasetPlan:
    """A checked plan. Raises ConfigError listing every fault."""
    from pipelines.stages.components import resolve_device

    faults = Faults()
    pipeline = read_pipeline(path, overrides, DatasetPipeline, faults)
    parts = [
        ("face_detector", ("face", "detector"), pipeline.face.detector),
        ("landmark_detector", ("face", "landmarks"), pipeline.face.landmarks),
        ("rotation_estimator", ("rotation",), pipeline.rotation),
    ]
    check_named_components(parts, pipeline.face.landmarks.name, pipeline.weights, registry, faults)
    try:
        resolve_device(pipeline.engine.device)
    except ConfigError as error:
        faults.add_error(error)
    if not pipeline.output.folder:
        faults.add("output.folder", "is empty", "name a folder for the data set")
    if Path(pipeline.output.report).name != pipeline.output.report or not pipeline.output.report:
        faults.add("output.report", f"{pipeline.output.report!r} is not a plain file name", 'such as "report.json"')
    files = find_sources(pipeline.inputs, pipeline.split, path.resolve().parent, faults)
    faults.raise_if_any(str(path))
    return DatasetPlan(pipeline, files, path)


def facts(plan: DatasetPlan, registry: Registry) -> dict[str, Any]:
    """The plan as plain data."""
    from pipelines.datasets.prepare import worker_count

    counts = {split: sum(f.split == split for f in plan.files) for split in ("train", "val")}
    people = {split: len({f.identity for f in plan.files if f.split == split}) for split in ("train", "val")}
    return {
        "pipeline": str(plan.origin),
        "files": [{**attrs.asdict(f), "path": str(f.path)} for f in plan.files],
        "counts": counts,
        "identities": people,
        "workers": worker_count(plan.pipeline),
        "settings": attrs.asdict(plan.pipeline),
    }


def describe(plan: DatasetPlan, registry: Registry) -> RenderableType:
    """The plan for people."""
    known = facts(plan, registry)
    crop, keep = plan.pipeline.crop, plan.pipeline.keep
    cut = f"cut around the face to {crop.side}x{crop.side}" if crop.mode == "face" else f"whole pictures scaled to {crop.side}x{crop.side}"
    lines = [
        f"{plan.origin}: {plan.pipeline.description}",
        *(f"{split:<9} {known['counts'][split]} files of {known['identities'][split]} people" for split in ("train", "val")),
        f"crops     {cut}; every {keep.stride}. frame, clips of at least {keep.least_frames}",
        f"output    {plan.pipeline.output.folder}",
        f"workers   {known['workers']} processes on {plan.pipeline.engine.device}",
    ]
    return Group(Text("\n".join(lines)))


def run(plan: DatasetPlan, registry: Registry, console: Console) -> Report:
    """Prepare the data set."""
    from pipelines.datasets.prepare import prepare

    return prepare(plan, console)


KIND = Kind(load, describe, facts, run, DatasetPipeline)
