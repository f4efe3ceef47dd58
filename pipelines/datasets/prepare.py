"""Prepare a data set: all files in parallel, what is there already is kept, an index and a report at the end."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import attrs
import torch
from rich.console import Console

from mmfa_components.errors import OutputError, reason_of
from pipelines.datasets.index import ClipEntry, DatasetIndex, Rejected
from pipelines.datasets.prepare_file import FilePreparer
from pipelines.datasets.schema import DatasetPipeline, DatasetPlan, SourceFile
from pipelines.runs.progress import Progress

SECONDS_BETWEEN_INDEXES = 60.0
START = "spawn"  # how worker processes begin; a forked process cannot use a GPU that its parent has used, and may hang on its threads' locks
Outcome = ClipEntry | Rejected


@attrs.define
class DatasetReport:
    """What a run made: the index, its figures, seconds it took. failed: files that could not be read or whose worker died."""

    folder: str
    index: DatasetIndex
    files: int
    interrupted: bool = False
    wall: float = 0.0

    @property
    def exit_code(self) -> int:
        """130 when interrupted, 1 when files failed or nothing was kept, else 0; rejected clips are no failure."""
        if self.interrupted:
            return 130
        return 1 if not self.index.clips or any(r.failed for r in self.index.rejected) else 0

    def totals(self) -> dict[str, Any]:
        """Figures of the data set by split."""
        totals: dict[str, Any] = {"files": self.files, "rejected": len(self.index.rejected), "wall": round(self.wall, 1)}
        for split in ("train", "val"):
            clips = [c for c in self.index.clips if c.split == split]
            people = {c.identity for c in clips}
            totals[split] = {"clips": len(clips), "frames": sum(c.frames for c in clips), "identities": len(people)}
        return totals

    def to_json(self) -> str:
        """The report as JSON text."""
        body = {"format": "mmfa-dataset-report/1", "exit_code": self.exit_code, "folder": self.folder, "totals": self.totals()}
        rejected = [attrs.asdict(r) for r in self.index.rejected]
        return json.dumps({**body, "interrupted": self.interrupted, "rejected": rejected}, indent=2, ensure_ascii=False)


def prepare(plan: DatasetPlan, console: Console) -> DatasetReport:
    """Prepare every file of a plan. Ctrl-C ends it in good order; a later run goes on.

    Raises PluginError, ConfigError or WeightsError before any work; OutputError or DatasetError when the folder cannot be written.
    """
    pipeline, start = plan.pipeline, time.monotonic()
    folder = Path(pipeline.output.folder)
    outcomes: dict[str, Outcome] = {}
    report = DatasetReport(str(folder), _index(plan, outcomes), len(plan.files))
    report.index.write(folder)
    saved = time.monotonic()
    with Progress(console, len(plan.files)) as progress:
        try:
            for source, outcome in _outcomes(pipeline, plan.files, progress):
                outcomes[source.name] = outcome
                kept = isinstance(outcome, ClipEntry)
                progress.job_done(f"{source.name}: " + (f"{outcome.frames} frames" if kept else f"rejected: {outcome.reason}"))  # type: ignore[union-attr]
                if time.monotonic() - saved > SECONDS_BETWEEN_INDEXES:
                    _index(plan, outcomes).write(folder)
                    saved = time.monotonic()
        except KeyboardInterrupt:
            report.interrupted = True
            progress.say("stopping: what is prepared is kept; run the same command again to go on")
    report.index, report.wall = _index(plan, outcomes), time.monotonic() - start
    report.index.write(folder)
    try:
        (folder / pipeline.output.report).write_text(report.to_json() + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"the report cannot be written ({reason_of(error)})", where=str(folder), fix="free space there") from error
    _summary(console, report)
    return report


def worker_count(pipeline: DatasetPipeline) -> int:
    """Processes to use: as asked, or one a GPU, or one for every two cores."""
    if pipeline.engine.workers:
        return pipeline.engine.workers
    cores = multiprocessing.cpu_count()
    return max(1, torch.cuda.device_count() if torch.cuda.is_available() else cores // 2)


def _index(plan: DatasetPlan, outcomes: dict[str, Outcome]) -> DatasetIndex:
    known = [outcomes[f.name] for f in plan.files if f.name in outcomes]
    index = DatasetIndex(plan.pipeline.crop.side, made_with=attrs.asdict(plan.pipeline))
    index.clips = [o for o in known if isinstance(o, ClipEntry)]
    index.rejected = [o for o in known if isinstance(o, Rejected)]
    return index


def _outcomes(pipeline: DatasetPipeline, files: Sequence[SourceFile], progress: Progress) -> Iterator[tuple[SourceFile, Outcome]]:
    """The outcome of every file, as they are finished. A file that kills its worker twice is rejected; the others go on."""
    count = min(worker_count(pipeline), max(1, len(files)))
    if count == 1:
        preparer = FilePreparer(pipeline, pipeline.engine.device, progress.advance)
        for source in files:
            progress.start(f"prepare {source.name}", None)
            yield source, preparer.prepare(source)
        preparer.worker.frames.close()
        return
    left = {f.name: f for f in files}
    while left:
        suspects: list[SourceFile] = []
        for source, outcome in _pooled(pipeline, list(left.values()), count):
            if isinstance(outcome, BrokenProcessPool):
                suspects.append(source)
            else:
                del left[source.name]
                yield source, outcome
        for source in suspects:  # a worker died with one of these: each is tried alone
            del left[source.name]
            for again, outcome in _pooled(pipeline, [source], 1):
                died = isinstance(outcome, BrokenProcessPool)
                yield again, Rejected(source.name, "its worker process died twice", failed=True) if died else outcome  # type: ignore[misc]


def _pooled(pipeline: DatasetPipeline, files: Sequence[SourceFile], count: int) -> Iterator[tuple[SourceFile, Outcome | BrokenProcessPool]]:
    """Outcomes of files from a pool. When a worker dies, the files that were under way come with the error, and the pool ends."""
    context = multiprocessing.get_context(START)
    threads = max(1, multiprocessing.cpu_count() // count)
    with ProcessPoolExecutor(count, context, _start, (pipeline, threads)) as pool:
        todo = iter(files)
        running: dict[Future[Outcome], SourceFile] = {}
        try:
            while True:
                for source in itertools.islice(todo, 2 * count - len(running)):
                    running[pool.submit(_work, source)] = source
                if not running:
                    return
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    source = running.pop(future)
                    try:
                        yield source, future.result()
                    except BrokenProcessPool as error:
                        yield source, error
                        yield from ((other, error) for other in running.values())
                        return
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_PREPARER: FilePreparer | None = None


def _start(pipeline: DatasetPipeline, threads: int) -> None:
    """Set up one worker process."""
    global _PREPARER
    torch.set_num_threads(threads)
    device = pipeline.engine.device
    if device == "auto" and torch.cuda.is_available():
        identity = multiprocessing.current_process()._identity
        device = f"cuda:{(identity[0] - 1 if identity else 0) % torch.cuda.device_count()}"
    _PREPARER = FilePreparer(pipeline, device, lambda frames: None)


def _work(source: SourceFile) -> Outcome:
    assert _PREPARER is not None
    return _PREPARER.prepare(source)


def _summary(console: Console, report: DatasetReport) -> None:
    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    totals = report.totals()
    for split in ("train", "val"):
        part = totals[split]
        say(f"{split}: {part['clips']} clips and portraits of {part['identities']} people, {part['frames']} frames")
    reasons: dict[str, int] = {}
    for rejected in report.index.rejected:
        reasons[rejected.reason] = reasons.get(rejected.reason, 0) + 1
    for reason, count in sorted(reasons.items(), key=lambda item: -item[1])[:10]:
        say(f"  rejected {count}: {reason}")
    say(f"data set: {report.folder}")
