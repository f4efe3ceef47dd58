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
from pipelines.training.vae_schema import VAEPipeline, VAEPlan
from plugins.mmfa.presets import preset


def load(path: Path, overrides: Sequence[str], registry: Registry) -> VAEPlan:
    """A checked plan. Raises ConfigError listing every fault."""
    from pipelines.stages.components import resolve_device

    faults = Faults()
    pipeline = read_pipeline(path, overrides, VAEPipeline, faults)
    checks: list[tuple[str, Callable[[], object]]] = [
        ("preset", lambda: preset(pipeline.preset)),
        ("run.device", lambda: resolve_device(pipeline.run.device)),
    ]
    for where, check in checks:
        try:
            check()
        except MMFAError as error:
            faults.add_error(error, where)
    check_weights(pipeline.weights, registry, faults)
    if not Path(pipeline.data.cache).expanduser().is_dir():
        fix = "fill one first: python -m pipelines.run decompose --set inputs.files='[\"videos/*.mp4\"]' --set cache.folder=FOLDER"
        faults.add("data.cache", f"there is no folder {pipeline.data.cache!r}", fix)
    faults.raise_if_any(str(path))
    return VAEPlan(pipeline, path)


def facts(plan: VAEPlan, registry: Registry) -> dict[str, Any]:
    """The plan as plain data."""
    return {"pipeline": str(plan.origin), "settings": attrs.asdict(plan.pipeline)}


def describe(plan: VAEPlan, registry: Registry) -> RenderableType:
    """The plan for people."""
    pipeline = plan.pipeline
    losses = ", ".join(f"{name} {value:g}" for name, value in attrs.asdict(pipeline.losses).items() if value)
    lines = [
        f"{plan.origin}: {pipeline.description}",
        f"features  of {pipeline.data.cache}, {pipeline.data.held_out:.0%} of the clips held out",
        f"losses    {losses}",
        f"run       {pipeline.run.steps} steps of {pipeline.run.batch} features, rate {pipeline.run.rate:g}, seed {pipeline.run.seed}",
        f"output    {pipeline.run.folder}",
    ]
    return Text("\n".join(lines))


def run(plan: VAEPlan, registry: Registry, console: Console) -> Report:
    """Train."""
    from pipelines.training.vae_session import run_vae

    return run_vae(plan.pipeline, registry, console)


KIND = Kind(load, describe, facts, run)
