"""Kind "interpolate": expressions between two faces, from the prior, and along single latent units (paper Fig. 8 and 15)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from mmfa_components.records import MotionKind
from mmfa_components.registry import Registry
from pipelines.editing.grid_plan import load_grid, needs_vae, plain
from pipelines.editing.grid_schema import GridPlan, InterpolatePipeline
from pipelines.kinds import Kind, Report

NOTE = "synthetic; expressions of the VAE's latent space"


def load(path: Path, overrides: Sequence[str], registry: Registry) -> GridPlan:
    """A checked plan. Raises ConfigError listing every fault."""
    return load_grid(path, overrides, registry, InterpolatePipeline)


def facts(plan: GridPlan, registry: Registry) -> dict[str, Any]:
    """The plan as plain data."""
    return {**plain(plan), "needs_vae": needs_vae(plan.tables)}


def describe(plan: GridPlan, registry: Registry) -> RenderableType:
    """The plan for people."""
    known, wanted = plain(plan), plan.tables.interpolate
    units = wanted.units if isinstance(wanted.units, str) else ", ".join(map(str, wanted.units))
    lines = [
        f"{plan.origin}: {plan.pipeline.description}",
        *(f"pair      {a} to {b}, {wanted.steps} steps in the {wanted.space} space" for a, b in known["pairs"]),
        f"faces     {', '.join(known['faces']) or 'none'}: {wanted.prior} samples, units: {units}",
        f"output    {known['grid']}{' and a video of each row' if plan.tables.output.video else ''}",
    ]
    return Text("\n".join(lines))


def run(plan: GridPlan, registry: Registry, console: Console) -> Report:
    """Draw the grid."""
    import torch

    from pipelines.editing.grid_run import Faces, Row, run_grid
    from pipelines.editing.latent import interpolate_rows

    weights = {name: Path(path) for name, path in plan.pipeline.weights.items()}
    vae: Any = None
    if needs_vae(plan.tables):
        part = plan.tables.vae
        vae = registry.build("expression_vae", part.name, part.options, registry.context("cpu", torch.float32, weights), "vae")

    def rows(faces: Faces, kind: MotionKind) -> list[Row]:
        with torch.inference_mode():
            return list(interpolate_rows(plan.tables, faces, kind, plan.pairs, plan.shots, vae))

    note = NOTE if vae is not None else "synthetic; expressions on a straight line between features"
    return run_grid(plan, registry, console, rows, note)


KIND = Kind(load, describe, facts, run, InterpolatePipeline)
