"""Kind "train": the networks of MMFA learn from a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console, Group, RenderableType
from rich.text import Text

from mmfa_components.errors import MMFAError
from mmfa_components.registry import Registry
from pipelines.config.components import check_weights
from pipelines.config.faults import Faults
from pipelines.config.load import read_pipeline
from pipelines.datasets.index import DatasetIndex
from pipelines.kinds import Kind, Report
from pipelines.training.schema import TrainPipeline, TrainPlan
from plugins.mmfa.presets import PRESETS, preset


def load(path: Path, overrides: Sequence[str], registry: Registry) -> TrainPlan:
    """A checked plan. Raises ConfigError listing every fault."""
    from pipelines.stages.components import resolve_device

    faults = Faults()
    pipeline = read_pipeline(path, overrides, TrainPipeline, faults)
    checks: list[tuple[str, Callable[[], object]]] = [
        ("model.preset", lambda: preset(pipeline.model.preset)),
        ("run.device", lambda: resolve_device(pipeline.run.device)),
        ("data.folder", lambda: DatasetIndex.read(Path(pipeline.data.folder))),
    ]
    for where, check in checks:
        try:
            check()
        except MMFAError as error:
            faults.add_error(error, where)
    _check_model(pipeline, faults)
    _check_files(pipeline, registry, faults)
    _check_scale(pipeline, faults)
    faults.raise_if_any(str(path))
    return TrainPlan(pipeline, path)


def _check_model(pipeline: TrainPipeline, faults: Faults) -> None:
    model = pipeline.model
    if model.norms == "running" and not model.start:
        faults.add("model.norms", '"running" keeps the statistics of a weights file, but model.start names none', "name one, or take \"batch\"")
    if not model.trained or model.preset not in PRESETS:  # an unknown preset is told already
        return
    import torch

    from pipelines.training.frozen_parts import freeze_all_but
    from plugins.mmfa.model import MMFAModel

    try:
        with torch.device("meta"):  # nothing is computed
            freeze_all_but(MMFAModel(preset(model.preset).sizes), model.trained)
    except MMFAError as error:
        faults.add_error(error)


def _check_scale(pipeline: TrainPipeline, faults: Faults) -> None:
    scale, workers = pipeline.scale, pipeline.scale.workers
    if scale.engine == "torchrun":
        from pipelines.training.torchrun import started_group

        try:
            workers = started_group().world
        except MMFAError as error:
            faults.add_error(error)
    elif scale.engine == "process" and workers > 1:
        faults.add("scale.workers", f"one process cannot be {workers} workers", 'set scale.engine = "ray"')
    if pipeline.run.batch % workers:
        faults.add("run.batch", f"{pipeline.run.batch} pairs cannot be shared evenly by {workers} workers", "take a multiple of their number")


def _check_files(pipeline: TrainPipeline, registry: Registry, faults: Faults) -> None:
    given = check_weights(pipeline.weights, registry, faults)
    needed = ["vgg16_features"] + (["sface"] if pipeline.losses.face or pipeline.losses.recognition else [])
    for name in needed:
        known = registry.weights.get(name)
        if known is not None and name not in given and not known.path.is_file():
            faults.add(f"weights.{name}", "is needed for the losses, but is not there", f"python -m plugins fetch {name}")
    start = pipeline.model.start
    if start and not Path(start).expanduser().is_file():
        faults.add("model.start", f"there is no file {start!r}", 'name a weights file, or "" to start from random weights')


def facts(plan: TrainPlan, registry: Registry) -> dict[str, Any]:
    """The plan as plain data."""
    pipeline = plan.pipeline
    index = DatasetIndex.read(Path(pipeline.data.folder))
    counts = {
        split: {
            "clips": sum(c.split == split for c in index.clips),
            "frames": sum(c.frames for c in index.clips if c.split == split),
            "identities": len({c.identity for c in index.clips if c.split == split}),
        }
        for split in ("train", "val")
    }
    going_on = (Path(pipeline.run.folder) / "checkpoint.pt").exists()
    return {"pipeline": str(plan.origin), "data": counts, "going_on": going_on, "settings": attrs.asdict(pipeline)}


def describe(plan: TrainPlan, registry: Registry) -> RenderableType:
    """The plan for people."""
    known, pipeline = facts(plan, registry), plan.pipeline
    weights = {k: v for k, v in attrs.asdict(pipeline.losses).items() if isinstance(v, float) and v}
    run, scale = pipeline.run, pipeline.scale
    begin = "goes on from its checkpoint" if known["going_on"] else pipeline.model.start or "random weights"
    places = {"ray": f"{scale.workers} Ray workers", "torchrun": "the processes of torchrun", "process": f"this process on {run.device}"}
    lines = [
        f"{plan.origin}: {pipeline.description}",
        *(f"{s:<9} {c['frames']} frames, {c['clips']} clips and portraits of {c['identities']} people" for s, c in known["data"].items()),
        f"model     {pipeline.model.preset}, from {begin}",
        f"losses    {', '.join(f'{name} {weight:g}' for name, weight in weights.items())}",
        f"run       {run.steps} steps of {run.batch} pairs, rate {pipeline.optimiser.rate:g}, seed {run.seed}, on {places[scale.engine]}",
        f"output    {run.folder}",
    ]
    return Group(Text("\n".join(lines)))


def run(plan: TrainPlan, registry: Registry, console: Console) -> Report:
    """Train."""
    from pipelines.training.report import report_of

    pipeline, first = plan.pipeline, True
    if pipeline.scale.engine == "ray":
        from pipelines.training.distributed import run_on_ray

        result = run_on_ray(pipeline, console)
    elif pipeline.scale.engine == "torchrun":
        from pipelines.training.torchrun import run_under_torchrun, started_group

        first = started_group().first
        result = run_under_torchrun(pipeline, console)
    else:
        from pipelines.training.session import run_session

        result = run_session(pipeline, console)
    return report_of(pipeline, result, console, first)


KIND = Kind(load, describe, facts, run)
