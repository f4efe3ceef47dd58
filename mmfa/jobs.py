"""One animation of the Python API as a job of a batch: what it renders, how it is written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
from torch import Tensor

from mmfa_components.errors import ConfigError, did_you_mean
from mmfa_components.geometry.transfer import MODES
from mmfa_components.records import MotionKind
from pipelines.config.faults import Faults
from pipelines.config.inputs import safe_jobs
from pipelines.config.schema import Face, Job, Output, Pipeline, Plan, Transfer, TransferMode
from pipelines.engines.base import Engine
from pipelines.media import CONTAINERS
from pipelines.reports.run_report import InputReport, JobReport, RunReport
from pipelines.runs.batch import Batch
from pipelines.runs.check import check_transfer
from pipelines.runs.clips import Clip, Preparation
from pipelines.runs.film import finished_frames
from pipelines.stages import encode
from pipelines.stages.worker import Stopwatch

NOWHERE = Path("frames")
"""The output of a job whose frames are handed over instead of being written."""


@attrs.define
class HeldBatch(Batch):
    """A batch of one job whose portrait and clip are ready and in memory."""

    portrait: encode.Portrait = attrs.field(kw_only=True)
    driving: Clip = attrs.field(kw_only=True)
    source_report: InputReport = attrs.field(kw_only=True)

    def key(self, job: Job) -> str:
        """See Batch. The choice of a face is the portrait's; of a clip the largest is followed."""
        key = Batch.key(self, job)
        if job.face in (None, "largest"):
            return key
        return hashlib.sha256(f"{key} driven by the largest face".encode()).hexdigest()

    @property
    def only(self) -> tuple[Job, JobReport]:
        """The job and its report."""
        return self.plan.jobs[0], self.report.jobs[0]

    def input(self, path: Path) -> InputReport:
        """See Batch."""
        return self.driving.report if path == self.driving.path else self.source_report

    def clip(self, path: Path, face: Face) -> Clip:
        """See Batch."""
        return self.driving

    def source(self, path: Path, face: Face) -> encode.Portrait | Clip:
        """See Batch."""
        return self.portrait

    def frames(self) -> Iterator[Tensor]:
        """The frames of the result, (H, W, 3) uint8, rendered as they are asked for.

        Raises ConfigError at once for a reference frame that is not there.
        """
        job, report = self.only
        units = self.units(job, report, self.portrait, self.driving)
        output = self.plan.pipeline.output
        parts = finished_frames(self.engine, units, self.portrait, output, Stopwatch())
        return (frame for part in parts for frame in part)

    def write(self) -> Path:
        """Write the result, unless it is there and nothing has changed.

        Raises MediaError, ConfigError or OutputError.
        """
        self._job(*self.only)
        return self.plan.jobs[0].output


def held_batch(
    engine: Engine,
    preparation: Preparation,
    pipeline: Pipeline,
    portrait: encode.Portrait,
    source: InputReport,
    clip: Clip,
    out: Path | None,
    face: int | str = "largest",
) -> HeldBatch:
    """A portrait moved by a clip.

    out: the file to write, None for none.  face: which of the portrait's was chosen.

    Raises ConfigError when ``out`` is no kind of video, or one of the inputs.
    """
    job = Job(Path(source.path), clip.path, out or NOWHERE, face)
    if out is not None:
        pipeline = attrs.evolve(pipeline, output=output_of(pipeline.output, out))
        faults = Faults()
        safe_jobs([job], pipeline.output, faults)
        faults.raise_if_any("out")
    run = RunReport(
        "mmfa", {}, jobs=[JobReport(job.name, source.path, str(clip.path), str(job.output))]
    )
    plan = Plan(pipeline, (job,), Path("mmfa"))
    return HeldBatch(
        plan,
        engine,
        preparation,
        preparation.progress,
        run,
        portrait=portrait,
        driving=clip,
        source_report=source,
    )


def transfer_of(
    kind: MotionKind,
    pose: TransferMode,
    expression: TransferMode,
    fields: Mapping[str, TransferMode] | None = None,
    amount: Mapping[str, float] | None = None,
    reference: str | int = "auto",
) -> Transfer:
    """How a motion is carried over: ``fields`` as they say, the expression, else as the pose.

    Raises ConfigError listing modes and fields that do not exist.
    """
    modes = {**({kind.feature: expression} if kind.feature else {}), **(fields or {})}
    transfer = Transfer(pose, reference, dict(amount or {}), modes)
    faults = Faults()
    for name, mode in {"pose": pose, "expression": expression, **modes}.items():
        if mode not in MODES:
            faults.add(name, f"there is no mode {mode!r}", did_you_mean(str(mode), MODES))
    check_transfer(transfer, kind, "transfer", faults)
    faults.raise_if_any("animate")
    return transfer


def output_of(output: Output, out: Path) -> Output:
    """``output`` with the encoder of a file. Raises ConfigError when it is no kind of video."""
    container = CONTAINERS.get(out.suffix.lower())
    if container is None:
        fix = f"use one of {', '.join(CONTAINERS)}"
        raise ConfigError(
            f"a video cannot be written as {out.suffix or out.name!r}",
            where=f"out={str(out)!r}",
            fix=fix,
        )
    return attrs.evolve(
        output, folder=str(out.parent), codec=container.codec, contact_sheet="", report=""
    )
