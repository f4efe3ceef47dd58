"""Many clips decomposed into the motion cache, without rendering anything."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console

from mmfa_components.registry import Registry
from pipelines.config.schema import Pipeline
from pipelines.engines.clips import Preparation, input_report
from pipelines.engines.failures import describe
from pipelines.engines.in_process import InProcessEngine
from pipelines.engines.progress import Progress
from pipelines.reports.run_report import ErrorReport, InputReport
from pipelines.stages.store import Store


@attrs.define
class ClipOutcome:
    """One clip: its part of the report, and why it failed, if so."""

    report: InputReport
    error: ErrorReport | None = None


@attrs.define
class DecomposeReport:
    """All clips of a run; ``exit_code`` as in RunReport."""

    clips: list[ClipOutcome] = attrs.field(factory=list)
    interrupted: bool = False
    wall: float = 0.0

    @property
    def exit_code(self) -> int:
        """130 when interrupted, 1 when a clip failed, else 0."""
        return 130 if self.interrupted else int(any(c.error for c in self.clips))

    def totals(self) -> dict[str, Any]:
        """Figures over all clips."""
        done = [c.report for c in self.clips if c.error is None]
        cached = sum(r.cached.get("motion", False) for r in done)
        failed = len(self.clips) - len(done)
        return {"clips": len(done), "from_cache": cached, "failed": failed, "frames": sum(r.frames for r in done), "wall": round(self.wall, 2)}

    def to_json(self) -> str:
        """The report as JSON text."""
        body = {"format": "mmfa-decompose-report/1", "exit_code": self.exit_code, "totals": self.totals()}
        return json.dumps({**body, **attrs.asdict(self)}, indent=2, default=str, ensure_ascii=False)


def decompose_all(pipeline: Pipeline, files: Sequence[Path], registry: Registry, console: Console) -> DecomposeReport:
    """Follow and decompose every clip into ``pipeline.cache``; what is there already is left alone. Bad clips fail alone.

    Raises ConfigError, PluginError or WeightsError before any work.
    """
    report, start = DecomposeReport(), time.monotonic()
    with Progress(console, len(files)) as progress:
        progress.start("load components", None)
        engine = InProcessEngine(pipeline, registry, progress.advance)
        store = Store(pipeline.cache, registry.records, lambda text: progress.say(f"warning: {text}"))
        preparation = Preparation(engine, store, progress, pipeline.engine.span)
        try:
            for path in files:
                outcome = ClipOutcome(InputReport(str(path), "video"))
                report.clips.append(outcome)
                try:
                    outcome.report = input_report(path, "video")
                    preparation.clip(path, pipeline.face, outcome.report)
                    known = " (was in the cache)" if outcome.report.cached.get("motion") else ""
                    progress.job_done(f"{path.name}: {outcome.report.frames} frames{known}")
                except Exception as error:  # one bad clip must not stop the others
                    outcome.error = describe(error, str(path))
                    progress.job_done(f"FAILED {path.name}\n  {outcome.error}")
        except KeyboardInterrupt:
            report.interrupted = True
            report.clips.pop()
            progress.say("stopping: finished clips are kept; run the same command again to go on")
        finally:
            engine.close()
            store.close()
    report.wall = time.monotonic() - start
    totals = report.totals()
    text = "{clips} clips, {frames} frames, {from_cache} from the cache, {failed} failed in {wall} s".format(**totals)
    console.print(text, highlight=False, markup=False, soft_wrap=True)
    return report
