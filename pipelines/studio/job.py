"""One run of a recipe: the very code behind ``mmfa run``, watched, and stopped when wanted."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import attrs
from rich.console import Console

from mmfa_components.registry import Registry
from pipelines.kinds import kind_of
from pipelines.reports.run_report import ErrorReport
from pipelines.runs.failures import describe
from pipelines.runs.progress import Step, watched

PHASES = {
    "load": "Loading the model", "follow": "Following the face", "decompose": "Reading the motion", "encode": "Reading the portrait",
    "draw": "Finishing",
}  # fmt: skip
Status = Literal["waiting", "running", "done", "failed", "cancelled"]
_ONE_AT_A_TIME = threading.Lock()


@attrs.define
class Job:
    """A recipe (a pipeline file) being run with overrides. Read its fields from any thread; only its own thread writes them.

    step: where it is.  outputs: the files it made.  error: why it failed.
    """

    recipe: Path
    overrides: Sequence[str]
    registry: Registry
    status: Status = "waiting"
    step: Step | None = None
    outputs: list[Path] = attrs.field(factory=list)
    error: ErrorReport | None = None
    report: dict[str, Any] = attrs.field(factory=dict)
    _stop: threading.Event = attrs.field(factory=threading.Event)

    def run(self) -> None:
        """Run to the end, after the jobs that came before; every failure ends up in ``error``."""
        while not _ONE_AT_A_TIME.acquire(timeout=0.2):
            if self._stop.is_set():
                self.status = "cancelled"
                return
        try:
            self.status = "running"
            self._run()
        except KeyboardInterrupt:
            self.status = "cancelled"
        except Exception as error:
            self.error, self.status = describe(error, ""), "failed"
        finally:
            _ONE_AT_A_TIME.release()

    def cancel(self) -> None:
        """Stop at the next batch of frames."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """True once it was told to stop."""
        return self._stop.is_set()

    @property
    def over(self) -> bool:
        """True when nothing more will happen."""
        return self.status in ("done", "failed", "cancelled")

    def _run(self) -> None:
        kind = kind_of(self.recipe, self.overrides)
        plan = kind.load(self.recipe, self.overrides, self.registry)
        with watched(self._watch):
            report = kind.run(plan, self.registry, Console(file=io.StringIO()))
        self.report = json.loads(report.to_json())
        jobs = self.report.get("jobs", [])
        failed = [job["error"] for job in jobs if job.get("error")]
        self.outputs = [Path(job["output"]) for job in jobs if job.get("status") in ("done", "skipped")]
        if failed:
            self.error = ErrorReport(**failed[0])
        cancelled = self._stop.is_set() or report.exit_code == 130
        self.status = "cancelled" if cancelled else "failed" if failed or report.exit_code else "done"

    def _watch(self, step: Step) -> None:
        self.step = step
        if self._stop.is_set() and not step.line:  # what is said while it stops must not stop it again
            raise KeyboardInterrupt


def left(step: Step) -> tuple[float, float | None]:
    """Frames a second so far, and the seconds that are left (None: not known)."""
    speed = step.count / step.seconds if step.seconds > 0 else 0.0
    known = step.total and speed > 0 and step.total >= step.count
    return speed, (step.total - step.count) / speed if known and step.total else None


def progress_text(job: Job) -> str:
    """What a run is doing, how far it is, how fast, and how long it will take."""
    step = job.step
    if job.status == "waiting":
        return "Waiting for another run to end …"
    if step is None or not step.text:
        return "Starting …"
    phase = next((name for start, name in PHASES.items() if step.text.startswith(start)), "Making the frames")
    if not step.count:
        return f"{phase} …"
    speed, seconds = left(step)
    total = f" of {step.total}" if step.total else ""
    rest = f", {seconds:.0f} s left" if seconds is not None else ""
    return f"{phase}: frame {step.count}{total}, {speed:.1f} frames/s{rest}"
