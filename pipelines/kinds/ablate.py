"""Kind "ablate": variants of a training on one budget, and the table that compares them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console, RenderableType
from rich.text import Text

from mmfa_components.errors import ConfigError
from mmfa_components.registry import Registry
from pipelines.config.faults import Faults
from pipelines.config.inputs import unique_names
from pipelines.config.load import read_pipeline
from pipelines.evaluation.ablation import AblatePipeline, AblatePlan, ablate
from pipelines.kinds import Kind, Report
from pipelines.kinds import evaluate as evaluate_kind
from pipelines.kinds import train as train_kind
from pipelines.kinds.train import losses_in_words as _losses
from pipelines.training.schema import TrainPipeline, TrainPlan
from pipelines.training.systems import recipe_of

TITLE = "Ablation (layout of the paper's Table 2)"


def load(path: Path, overrides: Sequence[str], registry: Registry) -> AblatePlan:
    """A checked plan. Raises ConfigError listing every fault, also those of the training and the evaluation."""
    faults = Faults()
    pipeline = read_pipeline(path, overrides, AblatePipeline, faults)
    if not pipeline.variants and not faults.touches("variants"):
        faults.add("variants", "names none", "add tables [[variants]] with label and set")
    labels = [v.label for v in pipeline.variants]
    for number, label in enumerate(labels):
        if not label or labels.index(label) != number:
            faults.add(f"variants[{number}].label", "is empty" if not label else f"{label!r} is the name of two rows", "give each variant its own")
    folders = unique_names(["".join(c if c.isalnum() else "_" for c in label) or "variant" for label in labels])
    trainings: list[tuple[str, TrainPlan]] = []
    for number, (variant, folder) in enumerate(zip(pipeline.variants, folders, strict=True)):
        changes = [*pipeline.train_set, *variant.set, f"run.folder={Path(pipeline.folder) / folder}"]
        try:
            plan = train_kind.load(Path(pipeline.train), changes, registry)
        except ConfigError as error:
            faults.add(f"variants[{number}] ({variant.label}): {error.where}", error.what, error.fix)
            continue
        trainings.append((variant.label, plan))
        _check_training(f"variants[{number}]", plan.pipeline, trainings[0][1].pipeline, registry, faults)
    evaluation = None
    try:
        changes = [*pipeline.evaluate_set, f"output.folder={Path(pipeline.folder) / 'evaluation'}"]
        evaluation = evaluate_kind.load(Path(pipeline.evaluate), changes, registry)
    except ConfigError as error:
        faults.add(f"evaluate: {error.where}", error.what, error.fix)
    faults.raise_if_any(str(path))
    assert evaluation is not None
    made = AblatePlan(pipeline, tuple(trainings), evaluation, path)
    told = (f"{label}: losses {_losses(plan.pipeline, registry)}." for label, plan in trainings)
    notes = (made.budget, *told)
    return attrs.evolve(made, evaluation=attrs.evolve(evaluation, title=TITLE, notes=notes))


def _check_training(where: str, training: TrainPipeline, first: TrainPipeline, registry: Registry, faults: Faults) -> None:
    """Faults of a variant whose budget differs from the first one's, or with losses in vain."""
    same = attrs.evolve(training.run, folder=first.run.folder) == first.run
    if not same or training.data != first.data or training.model != first.model or training.optimiser != first.optimiser:
        what = "changes the data, the model, the optimiser or the run"
        faults.add(f"{where}.set", what, "variants differ in losses only; set the rest in train_set")
    if training.run.minutes:
        faults.add("train_set", "limits the minutes: variants would get unequal budgets", "set run.steps, and run.minutes=0")
    recipe, steps = recipe_of(training, registry), training.run.steps
    for name, start in recipe.starts.items():
        if recipe.weights[name] and start >= steps:
            what = f"the loss {name!r} would start at step {start} of {steps}, so never"
            fix = f"lower schedule.{name}_from in train_set"
            faults.add(f"{where}.set", what, fix)


def facts(plan: AblatePlan, registry: Registry) -> dict[str, Any]:
    """The plan as plain data."""
    return {
        "pipeline": str(plan.origin),
        "budget": plan.budget,
        "trainings": {label: attrs.asdict(training.pipeline) for label, training in plan.trainings},
        "evaluation": evaluate_kind.facts(plan.evaluation, registry),
    }


def describe(plan: AblatePlan, registry: Registry) -> RenderableType:
    """The plan for people."""
    lines = [f"{plan.origin}: {plan.pipeline.description}", plan.budget]
    lines += [f"{label:<24} losses {_losses(training.pipeline, registry)}; {training.pipeline.run.folder}" for label, training in plan.trainings]
    inner = evaluate_kind.describe(plan.evaluation, registry)
    return Text("\n".join(lines)) + Text("\n\nthen, on all variants:\n") + inner if isinstance(inner, Text) else Text("\n".join(lines))


def run(plan: AblatePlan, registry: Registry, console: Console) -> Report:
    """Train all variants and evaluate them."""
    return ablate(plan, registry, console, train_kind.run)


KIND = Kind(load, describe, facts, run, AblatePipeline)
