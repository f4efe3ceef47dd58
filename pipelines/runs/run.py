"""A plan run to its end: engine, progress, report, contact sheet."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from mmfa_components.errors import ConfigError, MMFAError, OutputError, did_you_mean, reason_of
from mmfa_components.registry import Registry
from pipelines.config.inputs import output_folder
from pipelines.config.schema import Pipeline, Plan, as_tables
from pipelines.engines import ENGINES
from pipelines.media import remove_leftovers
from pipelines.remote import check_writable, is_uploaded, upload
from pipelines.reports.run_report import JobReport, RunReport
from pipelines.runs.batch import Batch
from pipelines.runs.clips import Preparation
from pipelines.runs.estimate import compare, keep_speeds, measure, read_speeds
from pipelines.runs.failures import describe
from pipelines.runs.foreign import refuse_foreign
from pipelines.runs.progress import ParallelProgress, Progress
from pipelines.runs.sheet import write_sheet
from pipelines.stages.store import Store


def make_progress(pipeline: Pipeline, console: Console, jobs: int) -> Progress:
    """Progress for the engine a pipeline names."""
    return (Progress if pipeline.engine.name == "in_process" else ParallelProgress)(console, jobs)


def run_plan(
    plan: Plan, registry: Registry, console: Console, batch: Callable[..., Batch] = Batch, sheet: Callable[..., bool] = write_sheet
) -> RunReport:
    """Run a plan to its end, write the contact sheet and the run report, and return the report.

    batch: runs the jobs.  sheet: draws the overview picture.

    Bad inputs fail their own jobs only. Ctrl-C ends the run in good order: finished results stay, the report says what is left.

    Raises:
        ConfigError, PluginError, WeightsError: before any work, when a component or the engine cannot be built.
        OutputError: before any work, when the output folder cannot be written, or report or contact sheet would overwrite a file that
            is not ours; at the end, when the report cannot be written.
    """
    pipeline, started = plan.pipeline, time.monotonic()
    if pipeline.engine.name not in ENGINES:
        fix = did_you_mean(pipeline.engine.name, ENGINES)
        raise ConfigError(f"no engine is called {pipeline.engine.name!r}", where="engine.name", fix=fix)
    folder = writable_folder(output_folder(pipeline.output))
    for key in ("report", "contact_sheet"):
        name = getattr(pipeline.output, key)
        if name:
            refuse_foreign(folder / name, f"move it, or choose another output.{key} or output.folder")
    report = RunReport(str(plan.origin), as_tables(pipeline), started=datetime.now(UTC).isoformat(timespec="seconds"))
    report.jobs = [JobReport(j.name, str(j.source), str(j.driving), str(j.output)) for j in plan.jobs]
    with make_progress(pipeline, console, len(plan.jobs)) as progress:

        def warn(text: str) -> None:
            report.warnings.append(text)
            progress.say(f"warning: {text}")

        progress.start("load components", None)
        engine = ENGINES[pipeline.engine.name](pipeline, registry, progress.advance, warn)
        facts = engine.facts
        report.start_seconds = round(time.monotonic() - started, 3)
        report.device, report.precision = facts.device, facts.precision
        report.components = {"face_detector": facts.detector, "landmark_detector": facts.landmarks, "animator": facts.animator}
        store = Store(pipeline.cache, registry.records, warn)
        try:
            batch(plan, engine, Preparation(engine, store, progress, pipeline.engine.span), progress, report).run()
            if pipeline.output.contact_sheet:
                progress.start("draw the contact sheet", None)
                _sheet(folder / pipeline.output.contact_sheet, plan, report, warn, sheet)
        except KeyboardInterrupt:
            report.interrupted = True
            progress.say("stopping: finished results are kept, the one at hand is removed")
        finally:
            engine.close()
            store.close()
            report.pool = engine.report
    report.wall = round(time.monotonic() - started, 3)
    _learn(pipeline, report, engine.workers)
    report.write(folder / pipeline.output.report)
    upload(folder / pipeline.output.report, keep=True)
    _summary(console, report, folder / pipeline.output.report)
    return report


def writable_folder(folder: Path) -> Path:
    """Make sure that results can be written to ``folder``. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=".mmfa-")
        os.close(handle)
        Path(name).unlink()
        remove_leftovers(folder)
        if is_uploaded(folder):
            check_writable(folder)
    except OSError as error:
        what = f"results cannot be written here ({reason_of(error)})"
        raise OutputError(what, where=str(folder), fix="choose another output.folder") from error
    return folder


def _sheet(path: Path, plan: Plan, report: RunReport, warn: Callable[[str], None], sheet: Callable[..., bool]) -> None:
    title = plan.pipeline.description or plan.origin.stem
    try:
        if sheet(path, title, report.jobs):
            report.contact_sheet = str(path)
            upload(path, keep=True)
    except (MMFAError, OSError) as error:  # a picture for convenience: never a reason to fail a run
        warn(f"the contact sheet could not be drawn: {describe(error, str(path)).what}")


def _learn(pipeline: Pipeline, report: RunReport, workers: int) -> None:
    """Compare the wall time with what was to be expected, and keep the speeds for the next plan."""
    before = read_speeds(pipeline)
    if report.interrupted or not report.count("done"):
        return
    report.estimate = compare(pipeline, report, before, workers)
    keep_speeds(pipeline, measure(report, before))


def _summary(console: Console, report: RunReport, path: Path) -> None:
    def say(text: Any) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    counts = report.totals()
    text = f"{counts['done']} done, {counts['skipped']} up to date, {counts['failed']} failed"
    say(text + (f", {counts['left']} left" if counts["left"] else "") + f" in {report.wall:.1f} s")
    for job in report.jobs:
        if job.error is not None:
            say(f"  failed: {job.name}: {job.error.where}: {job.error.what}")
    if report.estimate.get("speeds", "").startswith("measured"):
        say(f"foretold: {report.estimate['estimated_wall']:.1f} s for this work on {report.estimate['workers']} workers")
    if report.interrupted:
        say("interrupted: run the same command again to go on")
    if report.contact_sheet:
        say(f"contact sheet: {report.contact_sheet}")
    say(f"run report:    {path}")
