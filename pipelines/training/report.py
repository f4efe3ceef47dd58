"""What a training run leaves for machines: report.json beside its weights."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
from rich.console import Console

from mmfa_components.errors import OutputError, reason_of
from mmfa_components.registry import Registry
from pipelines.training.loop import LoopResult
from pipelines.training.schema import TrainPipeline
from pipelines.training.systems import recipe_of


@attrs.frozen
class TrainReport:
    """The result of a call and where its files are. exit_code: 130 when interrupted, else 0."""

    folder: str
    weights: str
    result: LoopResult

    @property
    def exit_code(self) -> int:
        """See the class."""
        return 130 if self.result.interrupted else 0

    def to_json(self) -> str:
        """The report as JSON text."""
        head = {"format": "mmfa-train-report/1", "exit_code": self.exit_code}
        files = {"folder": self.folder, "weights": self.weights}
        return json.dumps({**head, **files, **attrs.asdict(self.result)}, indent=2)


def weights_of(pipeline: TrainPipeline, registry: Registry) -> tuple[str, Path]:
    """Name in the weights catalogue and path of the file that a training leaves."""
    name = recipe_of(pipeline, registry).weights_file.name
    return name, Path(pipeline.run.folder) / f"{name}.safetensors"


def report_of(
    pipeline: TrainPipeline,
    result: LoopResult,
    registry: Registry,
    console: Console,
    first: bool = True,
) -> TrainReport:
    """Write report.json and say in words what came out, if this is the first of its processes.

    Raises OutputError when it cannot be written.
    """
    folder = Path(pipeline.run.folder)
    report = TrainReport(str(folder), str(weights_of(pipeline, registry)[1]), result)
    if not first:
        return report
    try:
        (folder / "report.json").write_text(report.to_json() + "\n", encoding="utf-8")
    except OSError as error:
        what = f"the report cannot be written ({reason_of(error)})"
        raise OutputError(what, where=str(folder), fix="free space there") from error
    figures = ", ".join(f"{name} {value:.4g}" for name, value in result.figures.items())
    speed = f"{result.images_per_second:.1f} pairs/s"
    lines = [f"{result.steps} steps, {result.samples} pairs, {speed}{figures and f'; {figures}'}"]
    lines.append(f"weights: {report.weights}")
    if result.interrupted:
        lines.append("interrupted: run the same command again to go on")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return report
