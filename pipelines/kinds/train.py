"""Kind "train": the networks of a system learn from a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console, Group, RenderableType
from rich.text import Text

from mmfa_components.errors import MMFAError, PluginError
from mmfa_components.kinds import ComponentSpec
from mmfa_components.registry import Registry
from mmfa_components.training.recipe import TrainingRecipe
from pipelines.config.components import check_weights
from pipelines.config.faults import Faults
from pipelines.config.load import read_pipeline, read_toml
from pipelines.config.overrides import apply_overrides
from pipelines.datasets.index import DatasetIndex
from pipelines.kinds import Kind, Report
from pipelines.training.schema import TrainPipeline, TrainPlan, train_schema
from pipelines.training.systems import RECIPE, made, recipe_of


def load(path: Path, overrides: Sequence[str], registry: Registry) -> TrainPlan:
    """A checked plan. Raises ConfigError listing every fault."""
    from pipelines.stages.components import resolve_device

    faults = Faults()
    spec = named_recipe(RECIPE, path, overrides, TrainPipeline, "model.system", registry, faults)
    pipeline = read_pipeline(path, overrides, train_schema(spec.options), faults)
    options = pipeline.options(spec.options)
    recipe: TrainingRecipe | None = None
    try:
        recipe = known = made(spec, options, registry)
    except MMFAError as error:
        faults.add_error(error, "model.preset")
        plain = attrs.evolve(options.model, preset=type(options.model)().preset)
        known = made(spec, attrs.evolve(options, model=plain), registry)  # for the other checks
    checks: list[tuple[str, Callable[[], object]]] = [
        ("run.device", lambda: resolve_device(pipeline.run.device)),
        ("data.folder", lambda: DatasetIndex.read(Path(pipeline.data.folder))),
    ]
    for where, check in checks:
        try:
            check()
        except MMFAError as error:
            faults.add_error(error, where)
    _check_model(pipeline, recipe, faults)
    _check_files(pipeline, known, registry, faults)
    _check_scale(pipeline, faults)
    faults.raise_if_any(str(path))
    return TrainPlan(pipeline, path)


def named_recipe(
    kind: str,
    path: Path,
    overrides: Sequence[str],
    schema: type[Any],
    key: str,
    registry: Registry,
    faults: Faults,
) -> ComponentSpec:
    """The recipe of the system that a file names by ``key``, "" for the default one.

    schema: of such files, without a recipe's own keys.
    A system that is unknown is noted in ``faults``, and the default one's recipe is returned, so
    that the rest of the file can be checked.
    """
    value: Any = apply_overrides(read_toml(path), overrides, Faults(), schema)
    for name in key.split("."):
        value = value.get(name, "") if isinstance(value, dict) else ""
    default = registry.default("animator")
    if isinstance(value, str) and value:
        try:
            return registry.spec(kind, value)
        except PluginError as error:
            what = error.what
            if ("animator", value) in registry.components:
                what = f"animator {value!r} brings no recipe to train by"
            faults.keys.append(tuple(key.split(".")))
            faults.add(key, what, error.fix)
    return registry.spec(kind, default)


def _check_model(pipeline: TrainPipeline, recipe: TrainingRecipe | None, faults: Faults) -> None:
    model = pipeline.model
    if model.norms == "running" and not model.start:
        what = '"running" keeps the statistics of a weights file, but model.start names none'
        faults.add("model.norms", what, 'name one, or take "batch"')
    if recipe is None:
        return
    from pipelines.training.pairs import RESHAPED

    missing = [name for name in RESHAPED if name not in recipe.labels]
    if pipeline.data.reshaped and missing:
        what = f"needs the labels {', '.join(missing)}, which this system does not learn from"
        faults.add("data.reshaped", what, "set it to 0")
    if not model.trained:
        return
    import torch

    from pipelines.training.frozen_parts import freeze_all_but

    try:
        with torch.device("meta"):  # nothing is computed
            freeze_all_but(recipe.networks(), model.trained)
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
        what = f"one process cannot be {workers} workers"
        faults.add("scale.workers", what, 'set scale.engine = "ray"')
    if pipeline.run.batch % workers:
        what = f"{pipeline.run.batch} pairs cannot be shared evenly by {workers} workers"
        faults.add("run.batch", what, "take a multiple of their number")


def _check_files(pipeline: TrainPipeline, recipe: TrainingRecipe, registry: Registry, faults: Faults) -> None:
    given = check_weights(pipeline.weights, registry, faults)
    for name in recipe.needs:
        known = registry.weights.get(name)
        if known is not None and name not in given and not known.path.is_file():
            what = "is needed for the losses, but is not there"
            faults.add(f"weights.{name}", what, f"mmfa plugins fetch {name}")
    start = pipeline.model.start
    if start and not Path(start).expanduser().is_file():
        fix = 'name a weights file, or "" to start from random weights'
        faults.add("model.start", f"there is no file {start!r}", fix)


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
    head = {"pipeline": str(plan.origin), "data": counts, "going_on": going_on}
    return {**head, "settings": attrs.asdict(pipeline)}


def describe(plan: TrainPlan, registry: Registry) -> RenderableType:
    """The plan for people."""
    known, pipeline = facts(plan, registry), plan.pipeline
    losses = losses_in_words(pipeline, registry)
    run, scale, model = pipeline.run, pipeline.scale, pipeline.model
    going_on = "goes on from its checkpoint" if known["going_on"] else ""
    begin = going_on or model.start or "random weights"
    places = {
        "ray": f"{scale.workers} Ray workers",
        "torchrun": "the processes of torchrun",
        "process": f"this process on {run.device}",
    }
    name = " ".join(filter(None, (model.system, model.preset)))
    steps = f"{run.steps} steps of {run.batch} pairs"
    rate = f"rate {pipeline.optimiser.rate:g}"
    lines = [
        f"{plan.origin}: {pipeline.description}",
        *(f"{split:<9} {c['frames']} frames, {c['clips']} clips and portraits of {c['identities']} people" for split, c in known["data"].items()),
        f"model     {name}, from {begin}",
        f"losses    {losses}",
        f"run       {steps}, {rate}, seed {run.seed}, on {places[scale.engine]}",
        f"output    {run.folder}",
    ]
    return Group(Text("\n".join(lines)))


def losses_in_words(pipeline: TrainPipeline, registry: Registry) -> str:
    """The losses that count, with their weights."""
    weights = recipe_of(pipeline, registry).weights
    return ", ".join(f"{name} {weight:g}" for name, weight in weights.items() if weight)


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

        result = run_session(pipeline, console, registry=registry)
    return report_of(pipeline, result, registry, console, first)


KIND = Kind(load, describe, facts, run, TrainPipeline, RECIPE)
