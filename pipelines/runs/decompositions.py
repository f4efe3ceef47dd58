"""Many clips decomposed into the motion cache, without rendering anything."""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console

from cache.motion_file import SUFFIX, write_motion
from mmfa_components.errors import MMFAError
from mmfa_components.registry import Registry
from pipelines.config.inputs import unique_names
from pipelines.config.schema import Pipeline
from pipelines.media import probe
from pipelines.remote import upload
from pipelines.reports.run_report import ErrorReport, InputReport, PoolReport, json_text
from pipelines.runs.clips import Clip, Preparation, input_report
from pipelines.runs.failures import describe
from pipelines.runs.order import LOOKERS
from pipelines.runs.parallel import run_steps
from pipelines.runs.steps import Steps
from pipelines.stages.components import Facts
from pipelines.stages.store import Store
from pipelines.stages.worker import Stopped


@attrs.define
class ClipOutcome:
    """One clip: its part of the report, and why it failed, if so."""

    report: InputReport
    error: ErrorReport | None = None
    finished: bool = False


@attrs.define
class DecomposeReport:
    """All clips of a run; ``exit_code`` as in RunReport."""

    clips: list[ClipOutcome] = attrs.field(factory=list)
    interrupted: bool = False
    wall: float = 0.0
    pool: PoolReport | None = None

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
        return json_text({**body, **attrs.asdict(self)})


def write_clip_motion(path: Path, clip: Clip, facts: Facts) -> None:
    """Keep the motion of a clip as a portable file. Raises CacheError."""
    box = tuple(float(v) for v in clip.square)
    write_motion(
        path, clip.motion, clip.times, rate=clip.info.rate, time_base=clip.info.time_base, animator=dict(facts.animator), square=box,
        source=clip.path.name, source_digest=clip.report.digest,
    )  # fmt: skip
    upload(path)


def decompose_all(pipeline: Pipeline, files: Sequence[Path], registry: Registry, console: Console, motion: Path | None = None) -> DecomposeReport:
    """Follow and decompose every clip into ``pipeline.cache``; what is there already is left alone. Bad clips fail alone.

    motion: folder for the motion of each clip as a portable file, None for none.

    Raises ConfigError, PluginError or WeightsError before any work.
    """
    from pipelines.engines import ENGINES
    from pipelines.runs.run import make_progress

    start = time.monotonic()
    report = DecomposeReport([ClipOutcome(InputReport(str(path), "video")) for path in files])
    with make_progress(pipeline, console, len(files)) as progress:

        def warn(text: str) -> None:
            progress.say(f"warning: {text}")

        progress.start("load components", None)
        engine = ENGINES[pipeline.engine.name](pipeline, registry, progress.advance, warn)
        store = Store(pipeline.cache, registry.records, warn)
        preparation = Preparation(engine, store, progress, pipeline.engine.span)

        names = [name + SUFFIX for name in unique_names([path.stem for path in files])]

        def clip(number: int) -> None:
            outcome, path = report.clips[number], files[number]
            try:
                outcome.report = input_report(path, "video")
                made = preparation.clip(path, pipeline.face, outcome.report)
                if motion is not None:
                    write_clip_motion(motion / names[number], made, engine.facts)
                outcome.finished = True
                known = " (was in the cache)" if outcome.report.cached.get("motion") else ""
                progress.job_done(f"{path.name}: {outcome.report.frames} frames{known}")
            except Stopped:
                return
            except Exception as error:  # one bad clip must not stop the others
                outcome.error = describe(error, str(path))
                progress.job_done(f"FAILED {path.name}\n  {outcome.error}")

        try:
            if engine.jobs_at_once == 1:
                for number in range(len(files)):
                    clip(number)
            else:
                lengths = _lengths(files)
                progress.expect(2 * sum(lengths.values()))
                run_steps(Steps(lengths, (), engine.workers), lambda step: clip(step.key), engine.jobs_at_once, engine.stop)
        except KeyboardInterrupt:
            report.interrupted = True
            report.clips = [c for c in report.clips if c.finished or c.error]
            progress.say("stopping: finished clips are kept; run the same command again to go on")
        finally:
            engine.close()
            store.close()
            report.pool = engine.report
    report.wall = time.monotonic() - start
    totals = report.totals()
    text = "{clips} clips, {frames} frames, {from_cache} from the cache, {failed} failed in {wall} s".format(**totals)
    console.print(text, highlight=False, markup=False, soft_wrap=True)
    return report


def _lengths(files: Sequence[Path]) -> dict[Hashable, int]:
    """Frames of each clip by its number; 0 where they are not known."""

    def length(path: Path) -> int:
        try:
            return probe(path).frames or 0
        except MMFAError:
            return 0

    with ThreadPoolExecutor(LOOKERS, thread_name_prefix="mmfa-look") as pool:
        return dict(enumerate(pool.map(length, files)))
