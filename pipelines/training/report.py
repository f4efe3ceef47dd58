"""What a training run leaves for machines: report.json beside its weights."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
from rich.console import Console

from mmfa_components.errors import OutputError, reason_of
from pipelines.training.loop import LoopResult
from pipelines.training.schema import TrainPipeline
from plugins.mmfa.presets import preset


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
        body = {"format": "mmfa-train-report/1", "exit_code": self.exit_code, "folder": self.folder, "weights": self.weights}
        return json.dumps({**body, **attrs.asdict(self.result)}, indent=2)


def weights_of(pipeline: TrainPipeline) -> Path:
    """The weights file that a training leaves."""
    name = preset(pipeline.model.preset).weights["animator"].name
    return Path(pipeline.run.folder) / f"{name}.safetensors"


def report_of(pipeline: TrainPipeline, result: LoopResult, console: Console, first: bool = True) -> TrainReport:
    """Write report.json and say in words what came out, if this is the first of its processes. Raises OutputError when it cannot be written."""
    folder = Path(pipeline.run.folder)
    report = TrainReport(str(folder), str(weights_of(pipeline)), result)
    if not first:
        return report
    try:
        (folder / "report.json").write_text(report.to_json() + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"the report cannot be written ({reason_of(error)})", where=str(folder), fix="free space there") from error
    figures = ", ".join(f"{name} {value:.4g}" for name, value in result.figures.items())
    lines = [f"{result.steps} steps, {result.samples} pairs, {result.images_per_second:.1f} pairs/s" + (f"; {figures}" if figures else "")]
    lines += [f"weights: {report.weights}", "interrupted: run the same command again to go on"][: 2 if result.interrupted else 1]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return report
