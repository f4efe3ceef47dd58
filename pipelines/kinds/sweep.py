"""Kind "sweep": portraits turned about each axis in steps (paper Fig. 12-14)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from mmfa_components.registry import Registry
from pipelines.editing.grid_plan import load_grid, plain
from pipelines.editing.grid_schema import GridPlan, SweepPipeline
from pipelines.kinds import Kind, Report

NOTE = "synthetic; + yaw turns the nose to the left of the picture, + pitch up, + roll clockwise"


def load(path: Path, overrides: Sequence[str], registry: Registry) -> GridPlan:
    """A checked plan. Raises ConfigError listing every fault."""
    return load_grid(path, overrides, registry, SweepPipeline)


def facts(plan: GridPlan, registry: Registry) -> dict[str, Any]:
    """The plan as plain data."""
    return plain(plan)


def describe(plan: GridPlan, registry: Registry) -> RenderableType:
    """The plan for people."""
    known, sweep = plain(plan), plan.tables.sweep
    lines = [f"{plan.origin}: {plan.pipeline.description}", f"faces     {', '.join(known['faces'])}"]
    lines += [f"{name:<9} {', '.join(f'{v:g}' for v in getattr(sweep, name)) or 'left out'} degrees" for name in ("yaw", "pitch", "roll")]
    return Text("\n".join([*lines, f"output    {known['grid']}{' and a video of each row' if plan.tables.output.video else ''}"]))


def run(plan: GridPlan, registry: Registry, console: Console) -> Report:
    """Draw the grid."""
    from pipelines.editing.grid_run import run_grid
    from pipelines.editing.sweeps import sweep_rows

    return run_grid(plan, registry, console, lambda faces, kind: sweep_rows(plan.tables, faces), NOTE)


KIND = Kind(load, describe, facts, run, SweepPipeline)
