"""The run report: what ran with what, how long it took, what was lost, what failed and what is left. Written as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, get_args

import attrs

from mmfa_components.errors import MMFAError, OutputError, reason_of

Status = Literal["left", "done", "skipped", "failed"]
VERSIONED = ("mmfa", "torch", "av", "zarr", "attrs", "ray")


@attrs.define
class ErrorReport:
    """Why something failed: the kind of error, what was wrong, where, what to do; ``trace`` only for faults of the program."""

    kind: str
    what: str
    where: str = ""
    fix: str = ""
    trace: str = ""

    @classmethod
    def of(cls, error: MMFAError) -> ErrorReport:
        """From an error meant for the user."""
        return cls(type(error).__name__, error.what, error.where, error.fix)

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  -> {self.fix}" if self.fix else head


@attrs.define
class InputReport:
    """One portrait or clip: frames, seconds by stage, which records came from the cache, frame ranges without a face.

    lost: ranges whose motion repeats its neighbour.  bridged: ranges whose motion was interpolated.  cuts: frames with which the
    camera changes.  people: frames from which on another person is followed.  follows: the crop goes along with the head.
    """

    path: str
    kind: str
    digest: str = ""
    frames: int = 0
    lost: list[str] = attrs.field(factory=list)
    bridged: list[str] = attrs.field(factory=list)
    cuts: list[int] = attrs.field(factory=list)
    people: list[int] = attrs.field(factory=list)
    follows: bool = False
    cached: dict[str, bool] = attrs.field(factory=dict)
    seconds: dict[str, float] = attrs.field(factory=dict)
    warnings: list[str] = attrs.field(factory=list)


@attrs.define
class JobReport:
    """One result. ``key`` stands for everything that determines its bytes; ``seconds`` by stage overlap, ``wall`` does not.

    reference: the driving clip's reference frame.  references: one for each shot and person, in order, where there are several.  side: pixels
    of a side of the face's square.
    """

    name: str
    source: str
    driving: str
    output: str
    status: Status = "left"
    key: str = ""
    frames: int = 0
    frames_per_second: float = 0.0
    wall: float = 0.0
    seconds: dict[str, float] = attrs.field(factory=dict)
    reference: int | None = None
    references: list[int] = attrs.field(factory=list)
    lost: list[str] = attrs.field(factory=list)
    bridged: list[str] = attrs.field(factory=list)
    warnings: list[str] = attrs.field(factory=list)
    error: ErrorReport | None = None
    side: int = 0


@attrs.define
class WorkerReport:
    """One worker of an engine that has several.

    units, frames: calls and frames done.  alive: seconds from ready to the end.  busy: seconds spent on units, busy_share of alive.
    idle_at_end: seconds since the last unit it finished, at its end.  gpu: number of its GPU on its host.  seconds: by stage.
    ended: why it ended before the run did, "" when it did not.
    """

    number: int
    host: str = ""
    node: str = ""
    device: str = ""
    gpu: str = ""
    process: int = 0
    units: int = 0
    frames: int = 0
    frames_per_second: float = 0.0
    alive: float = 0.0
    busy: float = 0.0
    busy_share: float = 0.0
    gpu_busy_share: float | None = None
    idle_at_end: float = 0.0
    seconds: dict[str, float] = attrs.field(factory=dict)
    ended: str = ""


@attrs.define
class PoolReport:
    """The workers of a run. started: actors.  lost: died or given up.  repeated: units done again for that.  handed_over: units of
    slow workers that were given to idle ones as well."""

    started: int = 0
    lost: int = 0
    repeated: int = 0
    handed_over: int = 0
    workers: list[WorkerReport] = attrs.field(factory=list)


@attrs.define
class RunReport:
    """Everything about one run. start_seconds: until components were loaded.  estimate: foretold and measured wall time.  pool: the
    workers, of an engine that has several.

    ``exit_code`` is 0 when all is fine, 1 when some job failed, 130 when interrupted."""

    pipeline_file: str
    pipeline: Mapping[str, Any]
    device: str = ""
    precision: str = ""
    components: dict[str, Any] = attrs.field(factory=dict)
    inputs: list[InputReport] = attrs.field(factory=list)
    jobs: list[JobReport] = attrs.field(factory=list)
    warnings: list[str] = attrs.field(factory=list)
    interrupted: bool = False
    started: str = ""
    wall: float = 0.0
    contact_sheet: str = ""
    pool: PoolReport | None = None
    estimate: dict[str, Any] = attrs.field(factory=dict)
    start_seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """What the process should exit with."""
        if self.interrupted:
            return 130
        return 1 if self.count("failed") else 0

    def count(self, status: Status) -> int:
        """Jobs of a status."""
        return sum(job.status == status for job in self.jobs)

    def totals(self) -> dict[str, Any]:
        """Figures over all jobs and inputs."""
        done = [job for job in self.jobs if job.status == "done"]
        frames, wall = sum(j.frames for j in done), sum(j.wall for j in done)
        return {
            **{s: self.count(s) for s in get_args(Status)},
            "frames": frames,
            "frames_per_second": round(frames / wall, 3) if wall else 0.0,
            "cache_hits": sum(sum(i.cached.values()) for i in self.inputs),
            "wall": round(self.wall, 3),
        }

    def to_json(self) -> str:
        """The report as JSON text."""
        body = {
            "format": "mmfa-run-report/1",
            "exit_code": self.exit_code,
            "totals": self.totals(),
            "versions": {"python": platform.python_version(), **{n: _version(n) for n in VERSIONED}},
            **attrs.asdict(self),
        }
        return json_text(body)

    def write(self, path: Path) -> None:
        """Write the report under a temporary name and rename it. Raises OutputError."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(self.to_json() + "\n", encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            what = f"the run report cannot be written ({reason_of(error)})"
            raise OutputError(what, where=str(path), fix="free space or choose another output.folder") from error


def json_text(body: Any) -> str:
    """JSON for people and programs: names of files that are no text are escaped."""
    text = json.dumps(body, indent=2, default=str, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode()  # a lone surrogate becomes JSON's own escape


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"
