"""Ablation: variants of a training trained one after the other on one budget, then measured side by side (the paper's Table 2)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from attrs.validators import in_, instance_of
from rich.console import Console

from mmfa_components.registry import Registry
from pipelines.evaluation.schema import Candidate, EvaluatePlan
from pipelines.evaluation.session import EvaluateReport, evaluate
from pipelines.training.report import weights_of
from pipelines.training.schema import TrainPipeline, TrainPlan

Train = Callable[[TrainPlan, Registry, Console], Any]


@attrs.frozen
class Variant:
    """One row of the table. label: its name.  set: changes of the training file that make the variant, as KEY=VALUE."""

    label: str = ""
    set: tuple[str, ...] = ()


@attrs.frozen
class AblatePipeline:
    """A whole file of this kind.

    folder: of the variants' runs and of the table.  train, evaluate: pipeline files of those kinds.  train_set, evaluate_set: changes of
    them for all variants, as KEY=VALUE; the budget (run.steps, run.batch) is set here.
    """

    kind: str = attrs.field(default="ablate", validator=[instance_of(str), in_(("ablate",))])
    description: str = ""
    folder: str = "outputs/ablate"
    train: str = ""
    train_set: tuple[str, ...] = ()
    evaluate: str = ""
    evaluate_set: tuple[str, ...] = ()
    variants: tuple[Variant, ...] = ()


@attrs.frozen
class AblatePlan:
    """Checked variants with their trainings, and the evaluation of them all."""

    pipeline: AblatePipeline
    trainings: tuple[tuple[str, TrainPlan], ...]
    evaluation: EvaluatePlan
    origin: Path

    @property
    def budget(self) -> str:
        """What every variant gets, in words."""
        p = self.trainings[0][1].pipeline
        return (
            f"Budget of every variant: {p.run.steps} steps of {p.run.batch} pairs ({p.run.steps * p.run.batch} pairs), preset {p.model.preset}, "
            f"from {p.model.start or 'random weights'}, seed {p.run.seed}, data {p.data.folder}, on {p.run.device}."
        )


@attrs.define
class AblateReport:
    """What came out: the budget, how each training went, and the evaluation (None when the trainings were interrupted)."""

    budget: str
    trainings: dict[str, Any] = attrs.field(factory=dict)
    evaluation: EvaluateReport | None = None

    @property
    def exit_code(self) -> int:
        """130 when interrupted, else the evaluation's."""
        return 130 if self.evaluation is None else self.evaluation.exit_code

    def to_json(self) -> str:
        """The report as JSON text."""
        inner = None if self.evaluation is None else json.loads(self.evaluation.to_json())
        body = {"format": "mmfa-ablation/1", "exit_code": self.exit_code, "budget": self.budget, "trainings": self.trainings, "evaluation": inner}
        return json.dumps(body, indent=2, default=str, ensure_ascii=False)


def candidate_of(label: str, training: TrainPipeline, like: Candidate, registry: Registry) -> Candidate:
    """A trained variant as a row of the evaluation."""
    spec = registry.spec("animator", training.model.system)
    name, file = weights_of(training, registry)
    chosen = {"preset": training.model.preset} if training.model.preset else {}
    return attrs.evolve(
        like,
        name=spec.name,
        label=label,
        options={**like.options, **chosen},
        weights={**like.weights, name: str(file)},
    )


def ablate(plan: AblatePlan, registry: Registry, console: Console, train: Train) -> AblateReport:
    """Train what is not trained yet (a stopped training goes on where it was), then evaluate all variants.

    train: trains one plan and returns its report; its ``exit_code`` 130 ends the run. Raises what trainings and evaluation raise.
    """
    report = AblateReport(plan.budget)
    for label, training in plan.trainings:
        console.print(f"training {label!r} in {training.pipeline.run.folder}", highlight=False, markup=False, soft_wrap=True)
        result = train(training, registry, console)
        report.trainings[label] = json.loads(result.to_json())
        if result.exit_code:
            return report
    first = plan.evaluation.pipeline.animators[0]
    rows = tuple(candidate_of(label, training.pipeline, first, registry) for label, training in plan.trainings)
    described = attrs.evolve(plan.evaluation.pipeline, animators=rows)
    report.evaluation = evaluate(attrs.evolve(plan.evaluation, pipeline=described), registry, console)
    return report
