"""Kind "reenact": portraits moved by clips."""

from __future__ import annotations

from rich.console import Console

from mmfa_components.registry import Registry
from pipelines.config.schema import Pipeline, Plan
from pipelines.kinds import Kind
from pipelines.reports.run_report import RunReport
from pipelines.runs.plan import describe, facts, load_plan


def run(plan: Plan, registry: Registry, console: Console) -> RunReport:
    """Run the plan on its engine."""
    from pipelines.runs.run import run_plan

    return run_plan(plan, registry, console)


KIND = Kind(load_plan, describe, facts, run, Pipeline)
