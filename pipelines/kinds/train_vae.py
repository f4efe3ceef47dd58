"""Kind "train_vae": the latent space of expressions is learnt from the motion cache alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console, RenderableType
from rich.text import Text

from mmfa_components.errors import MMFAError
from mmfa_components.registry import Registry
from pipelines.config.components import check_weights
from pipelines.config.faults import Faults
from pipelines.config.load import read_pipeline
from pipelines.kinds import Kind, Report
from pipelines.kinds.train import named_recipe
from pipelines.training.schema import schema_with
from pipelines.training.vae_schema import VAEPipeline, VAEPlan
from pipelines.training.vae_session import RECIPE, latent_recipe


def load(path: Path, overrides: Sequence[str], registry: Registry) -> VAEPlan:
    """A checked plan. Raises ConfigError listing every fault."""
    from pipelines.stages.components import resolve_device

    faults = Faults()
    spec = named_recipe(RECIPE, path, overrides, VAEPipeline, "system", registry, faults)
    schema = schema_with(VAEPipeline, spec.options)
    pipeline: VAEPipeline = read_pipeline(path, overrides, schema, faults)
    checks: list[tuple[str, Callable[[], object]]] = [
        ("preset", lambda: spec.factory(pipeline.options(spec.options), registry.context())),
        ("run.device", lambda: resolve_device(pipeline.run.device)),
    ]
    for where, check in checks:
        try:
            check()
        except MMFAError as error:
            faults.add_error(error, where)
    check_weights(pipeline.weights, registry, faults)
    if not Path(pipeline.data.cache).expanduser().is_dir():
        fix = "fill one first: mmfa run decompose --set inputs.files='[\"videos/*.mp4\"]' --set cache.folder=FOLDER"
        faults.add("data.cache", f"there is no folder {pipeline.data.cache!r}", fix)
    faults.raise_if_any(str(path))
    return VAEPlan(pipeline, path)


def facts(plan: VAEPlan, registry: Registry) -> dict[str, Any]:
    """The plan as plain data."""
    return {"pipeline": str(plan.origin), "settings": attrs.asdict(plan.pipeline)}


def describe(plan: VAEPlan, registry: Registry) -> RenderableType:
    """The plan for people."""
    pipeline = plan.pipeline
    run, held_out = pipeline.run, pipeline.data.held_out
    weights = latent_recipe(pipeline, registry).weights
    losses = ", ".join(f"{name} {value:g}" for name, value in weights.items() if value)
    steps = f"{run.steps} steps of {run.batch} features"
    lines = [
        f"{plan.origin}: {pipeline.description}",
        f"features  of {pipeline.data.cache}, {held_out:.0%} of the clips held out",
        f"losses    {losses}",
        f"run       {steps}, rate {run.rate:g}, seed {run.seed}",
        f"output    {run.folder}",
    ]
    return Text("\n".join(lines))


def run(plan: VAEPlan, registry: Registry, console: Console) -> Report:
    """Train."""
    from pipelines.training.vae_session import run_vae

    return run_vae(plan.pipeline, registry, console)


KIND = Kind(load, describe, facts, run, VAEPipeline, RECIPE)
