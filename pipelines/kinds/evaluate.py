"""Kind "evaluate": animators side by side in the tables of the paper, their control and their steadiness."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console, RenderableType
from rich.text import Text

from mmfa_components.errors import MMFAError, did_you_mean
from mmfa_components.registry import Registry
from pipelines.config.components import check_components, check_weights
from pipelines.config.faults import Faults, dotted
from pipelines.config.load import read_pipeline
from pipelines.config.schema import as_tables
from pipelines.config.structuring import structure
from pipelines.evaluation.schema import EvaluatePipeline, EvaluatePlan, split_label
from pipelines.evaluation.sources import find_inputs, pair_up
from pipelines.kinds import Kind, Report

REPORT = ("matplotlib", "jinja2")
"""Packages that draw the report."""


def load(path: Path, overrides: Sequence[str], registry: Registry) -> EvaluatePlan:
    """A checked plan. Raises ConfigError listing every fault; metrics whose weights are missing are faults, too."""
    from pipelines.engines import ENGINES
    from pipelines.stages.components import resolve_device

    faults = Faults()
    pipeline = _named(read_pipeline(path, overrides, EvaluatePipeline, faults), registry)
    try:
        resolve_device(pipeline.engine.device)
    except MMFAError as error:
        faults.add_error(error)
    if pipeline.engine.name not in ENGINES:
        faults.add("engine.name", f"no engine is called {pipeline.engine.name!r}", did_you_mean(pipeline.engine.name, ENGINES))
    for package in REPORT:
        if find_spec(package) is None:
            faults.add("output.folder", f"tables and report need the package {package}", "pip install 'mmfa[evaluate]'")
    _check_animators(pipeline, registry, faults)
    _check_metrics(pipeline, registry, faults)
    if not pipeline.output.folder:
        faults.add("output.folder", "is empty", "name a folder for tables and report")
    if not any((pipeline.same.run, pipeline.cross.run, pipeline.control.run, pipeline.temporal.run)):
        faults.add("same.run", "every protocol is switched off", "switch on same, cross, control or temporal")
    clips, portraits = find_inputs(pipeline.inputs, path.resolve().parent, faults)
    if clips and not portraits and (pipeline.cross.run or pipeline.control.run):
        fix = "name some, or set cross.run and control.run to false"
        faults.add("inputs.portraits", "names no picture, but the cross-identity and control protocols need some", fix)
    faults.raise_if_any(str(path))
    return EvaluatePlan(pipeline, clips, portraits, pair_up(clips, portraits, pipeline.cross.portraits_per_clip), path)


def _check_animators(pipeline: EvaluatePipeline, registry: Registry, faults: Faults) -> None:
    from pipelines.evaluation.animators import pipeline_of

    titles = [c.title for c in pipeline.animators]
    if not titles and not faults.touches("animators"):
        faults.add("animators", "names none", "add a table [[animators]]")
    _check_cross(pipeline, registry, faults)
    for number, candidate in enumerate(pipeline.animators):
        if titles.index(candidate.title) != number:
            faults.add(f"animators[{number}].label", f"{candidate.title!r} is the name of two rows", "give each animator its own label")
        own = Faults()
        check_components(pipeline_of(pipeline, candidate), registry, own)
        check_weights(candidate.weights, registry, own)
        for fault in own.items:
            where = fault.where
            for prefix in ("animator.", "weights."):
                where = f"animators[{number}].{where.removeprefix('animator.')}" if fault.where.startswith(prefix) else where
            faults.add(where, fault.what, fault.fix)


def _named(pipeline: EvaluatePipeline, registry: Registry) -> EvaluatePipeline:
    """The pipeline with the name of the default animator where a row names none."""
    rows = (c if c.name else attrs.evolve(c, name=registry.default("animator")) for c in pipeline.animators)
    return attrs.evolve(pipeline, animators=tuple(rows))


def _check_cross(pipeline: EvaluatePipeline, registry: Registry, faults: Faults) -> None:
    """Note fields that the motion of none of the animators has; a field that only some have counts for these."""
    known = {c.name: registry.components.get(("animator", c.name)) for c in pipeline.animators}
    fields = [name for spec in known.values() if spec and spec.motion for name in spec.motion.fields]
    for name in pipeline.cross.fields if fields else ():
        if name not in fields:
            own = (f.name for f in attrs.fields(type(pipeline.cross)) if f.name != "fields")
            faults.add(f"cross.{name}", "no such key here", did_you_mean(name, {*fields, *own}))


def _check_metrics(pipeline: EvaluatePipeline, registry: Registry, faults: Faults) -> None:
    """Every metric is built once on the CPU: a missing or wrong weights file is told before any work."""
    from pipelines.evaluation.remember import build_metrics, sharing

    if not pipeline.metrics and not faults.touches("metrics"):
        faults.add("metrics", "names none", f"known: {', '.join(registry.names('metric'))}")
    for name in pipeline.metric_options:
        if name not in pipeline.metrics:
            faults.add(dotted(("metric_options", name)), "is not among the metrics", "add it to metrics, or remove the table")
    own = Faults()
    check_weights(pipeline.weights, registry, own)
    context = sharing(registry.context("cpu", overrides={n: Path(p) for n, p in pipeline.weights.items()})) if not own.items else None
    for number, name in enumerate(pipeline.metrics):
        where = f"metrics[{number}]"
        component, _ = split_label(name)
        if name in pipeline.metrics[:number]:
            faults.add(where, f"{name!r} is named twice", f'remove one, or give it a label and options of its own: "{component}:LABEL"')
            continue
        try:
            spec = registry.spec("metric", component)
        except MMFAError as error:
            faults.add_error(error, where)
            continue
        options = pipeline.metric_options.get(name, {})
        _, found = structure(options, spec.options, ("metric_options", name))
        for _, fault in found:
            faults.add(fault.where, fault.what, fault.fix or f"mmfa plugins show metric/{component} lists the options")
        if found or context is None:
            continue
        try:
            build_metrics((name,), pipeline.metric_options, registry, context)
        except MMFAError as error:
            faults.add_error(error, where)


def facts(plan: EvaluatePlan, registry: Registry) -> dict[str, Any]:
    """The plan as plain data."""
    return {
        "pipeline": str(plan.origin),
        "clips": [str(c.path) for c in plan.clips],
        "portraits": [str(p.path) for p in plan.portraits],
        "pairs": sum(len(p) for p in plan.pairs),
        "settings": as_tables(plan.pipeline),
    }


def describe(plan: EvaluatePlan, registry: Registry) -> RenderableType:
    """The plan for people."""
    p = plan.pipeline
    many = p.frames.limit or "all"
    portraits = p.control.portraits or len(plan.portraits)
    lines = [
        f"{plan.origin}: {p.description}",
        f"animators {', '.join(c.title for c in p.animators)}; beside them the source repeated and the driving frame itself",
        f"metrics   {', '.join(p.metrics)}",
        f"same      {len(plan.clips)} clips, {many} frames each" if p.same.run else "same      not run",
        f"cross     {sum(len(x) for x in plan.pairs)} pairs of clip and portrait, {many} frames each" if p.cross.run else "cross     not run",
        f"control   {portraits} portraits, 7 attributes, {p.control.steps} steps" if p.control.run else "control   not run",
        f"temporal  {p.temporal.frames} consecutive frames of each clip" if p.temporal.run else "temporal  not run",
        f"output    {p.output.folder}",
        f"engine    {p.engine.name} on {p.engine.device}, precision {p.engine.precision}",
    ]
    return Text("\n".join(lines))


def run(plan: EvaluatePlan, registry: Registry, console: Console) -> Report:
    """Evaluate."""
    from pipelines.evaluation.session import evaluate

    return evaluate(plan, registry, console)


KIND = Kind(load, describe, facts, run, EvaluatePipeline)
