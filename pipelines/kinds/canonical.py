"""Kind "canonical": the neutral, frontal face behind every picture (paper Fig. 7)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from mmfa_components.registry import Registry
from pipelines.editing.grid_plan import load_grid, plain
from pipelines.editing.grid_schema import CanonicalPipeline, GridPlan
from pipelines.kinds import Kind, Report

NOTE = "synthetic; canonical: x = s x_c, without rotation, translation and expression"


def load(path: Path, overrides: Sequence[str], registry: Registry) -> GridPlan:
    """A checked plan. Raises ConfigError listing every fault."""
    return load_grid(path, overrides, registry, CanonicalPipeline)


def facts(plan: GridPlan, registry: Registry) -> dict[str, Any]:
    """The plan as plain data."""
    return plain(plan)


def describe(plan: GridPlan, registry: Registry) -> RenderableType:
    """The plan for people."""
    known = plain(plan)
    lines = [
        f"{plan.origin}: {plan.pipeline.description}",
        f"faces     {', '.join(known['faces'])}",
        f"scale     {plan.tables.canonical.scale:g}",
        f"output    {known['grid']}",
    ]
    return Text("\n".join(lines))


def run(plan: GridPlan, registry: Registry, console: Console) -> Report:
    """Draw the grid."""
    from pipelines.editing.grid_run import run_grid
    from pipelines.editing.sweeps import canonical_rows

    return run_grid(plan, registry, console, lambda faces, kind: canonical_rows(plan.tables, faces), NOTE)


KIND = Kind(load, describe, facts, run, CanonicalPipeline)
