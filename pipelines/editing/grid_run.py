"""Grids of faces: every face encoded once, rows of motions rendered, one picture and, if wanted, a video of each row."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import torch
from rich.console import Console
from torch import Tensor

from mmfa_components.records import MotionKind, Record
from mmfa_components.registry import Registry
from pipelines.config.inputs import output_folder, unique_names
from pipelines.editing.grid_schema import GridOutput, GridPlan
from pipelines.editing.shots import Shot
from pipelines.engines import ENGINES
from pipelines.engines.base import Engine
from pipelines.media import SEGMENT, suffix_of, write_image
from pipelines.remote import upload
from pipelines.reports.grid import GridRow, draw_grid
from pipelines.reports.run_report import ErrorReport
from pipelines.runs.failures import describe
from pipelines.runs.film import Film, write_film
from pipelines.runs.foreign import refuse_foreign
from pipelines.runs.job_keys import write_notes
from pipelines.runs.progress import Progress
from pipelines.runs.run import make_progress, writable_folder
from pipelines.runs.sealing import seal_of
from pipelines.stages.crop import crop_frames
from pipelines.stages.encode import Portrait, StillUnit, encode_still
from pipelines.stages.frames import to_bytes
from pipelines.stages.mark import mark_frames
from pipelines.stages.render import RenderUnit, render_span


@attrs.frozen(eq=False)
class Row:
    """A row of a grid. face: whose.  motions: one a tile.  captions: of the tiles.  first: pictures before them with captions.

    walk: motion of the row's video, frame by frame.  neutral: the canonical face.
    """

    label: str
    face: Portrait
    motions: Record
    captions: tuple[str, ...]
    walk: Record | None = None
    group: str = ""
    first: tuple[tuple[str, Tensor], ...] = ()
    neutral: bool = False


Faces = dict[Shot, Portrait]
MakeRows = Callable[[Faces, MotionKind], Iterable[Row]]


@attrs.define
class GridReport:
    """What a run left: the grid, the videos, and faces that could not be used. ``exit_code`` as in RunReport."""

    kind: str
    settings: dict[str, Any]
    grid: str = ""
    videos: list[str] = attrs.field(factory=list)
    rows: list[str] = attrs.field(factory=list)
    failed: dict[str, ErrorReport] = attrs.field(factory=dict)
    interrupted: bool = False
    wall: float = 0.0

    @property
    def exit_code(self) -> int:
        """130 when interrupted, 1 when a face failed, else 0."""
        return 130 if self.interrupted else int(bool(self.failed))

    def to_json(self) -> str:
        """The report as JSON text."""
        body = {"format": "mmfa-grid-report/1", "exit_code": self.exit_code, **attrs.asdict(self)}
        return json.dumps(body, indent=2, default=str, ensure_ascii=False)


def run_grid(plan: GridPlan, registry: Registry, console: Console, make: MakeRows, note: str) -> GridReport:
    """Run a plan: ``make`` gives the rows for the faces that were found. A face that cannot be used fails alone.

    Raises ConfigError, PluginError, WeightsError or OutputError before any work.
    """
    output: GridOutput = plan.tables.output
    folder, start = writable_folder(output_folder(plan.pipeline.output)), time.monotonic()
    for key in ("grid", "report"):
        refuse_foreign(folder / getattr(output, key), f"move it, or choose another output.{key} or output.folder")
    report = GridReport(plan.tables.kind, attrs.asdict(plan.tables))
    shots = list(dict.fromkeys([*plan.shots, *(s for pair in plan.pairs for s in pair)]))
    with make_progress(plan.pipeline, console, len(shots)) as progress:
        progress.start("load components", None)
        engine = ENGINES[plan.pipeline.engine.name](plan.pipeline, registry, progress.advance, progress.say)
        try:
            faces = _encode(plan, shots, engine, progress, report)
            rows = list(make(faces, engine.facts.motion)) if faces else []
            if rows:
                _draw(plan, rows, engine, progress, report, folder, note)
        except KeyboardInterrupt:
            report.interrupted = True
        finally:
            engine.close()
    report.wall = round(time.monotonic() - start, 2)
    (folder / output.report).write_text(report.to_json() + "\n", encoding="utf-8")
    upload(folder / output.report, keep=True)
    for text in (f"grid: {report.grid}" if report.grid else "nothing could be drawn", *(f"video: {v}" for v in report.videos)):
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    return report


def _encode(plan: GridPlan, shots: list[Shot], engine: Engine, progress: Progress, report: GridReport) -> Faces:
    faces: Faces = {}
    for shot in shots:
        progress.start(f"encode {shot.name}", 1)
        try:
            faces[shot] = next(iter(engine.map(encode_still, [StillUnit(shot.path, plan.pipeline.face, shot.frame)])))
            progress.job_done(shot.name)
        except Exception as error:  # one bad face must not stop the others
            report.failed[shot.name] = describe(error, shot.name)
            progress.job_done(f"FAILED {shot.name}\n  {report.failed[shot.name]}")
    return faces


def _draw(plan: GridPlan, rows: list[Row], engine: Engine, progress: Progress, report: GridReport, folder: Path, note: str) -> None:
    output: GridOutput = plan.tables.output
    progress.start("render the grid", sum(len(row.motions) for row in rows))
    units = [RenderUnit(0, row.motions, row.face.motion, row.face.identity, neutral=row.neutral) for row in rows]
    drawn = []
    for row, span in zip(rows, engine.map(render_span, units), strict=True):
        frames = mark_frames(span.rgb) if output.mark else span.rgb
        drawn.append(GridRow(row.label, [*row.first, *zip(row.captions, frames, strict=True)], row.group))
        report.rows.append(f"{row.group} {row.label}".strip())
    path = folder / output.grid
    metadata = write_notes({"rows": report.rows, "kind": report.kind}, engine.facts, f"made by {report.kind}")
    sheet = draw_grid(drawn, plan.pipeline.description or plan.origin.stem, note)
    write_image(path, sheet, metadata=metadata, seal=seal_of(plan.pipeline.provenance, path, metadata))
    upload(path, keep=True)
    report.grid = str(path)
    if output.video:
        names = unique_names([_file_name(f"{row.group}_{row.label}") for row in rows])
        for row, name in zip(rows, names, strict=True):
            if row.walk is not None:
                report.videos.append(str(_video(plan, row, folder / (name + suffix_of(output.codec)), engine, progress)))


def _video(plan: GridPlan, row: Row, path: Path, engine: Engine, progress: Progress) -> Path:
    assert row.walk is not None
    refuse_foreign(path)
    rate = Fraction(str(plan.tables.output.rate)).limit_denominator(1001)
    parts = row.walk.spans(SEGMENT)
    units = [
        RenderUnit(i * SEGMENT, part, row.face.motion, row.face.identity, neutral=row.neutral)
        for i, part in enumerate(parts)
    ]
    metadata = write_notes({"frames": len(row.walk)}, engine.facts, f"made by {plan.tables.kind}: {row.group} {row.label}")
    progress.start(f"video of {row.group} {row.label}".strip(), len(row.walk))
    film = Film(path, 1 / rate, rate, lambda a, b: list(range(a, b)), None, metadata, seal_of(plan.pipeline.provenance, path, metadata))
    write_film(engine, film, units, row.face, attrs.evolve(plan.pipeline.output, frame="crop"))
    return path


def walk_frames(output: GridOutput) -> int:
    """Frames of a row's video."""
    return max(2, round(output.seconds * output.rate))


def picture_of(face: Portrait, size: int = 256) -> Tensor:
    """The crop of a face (size, size, 3) uint8, as the animator sees it."""
    return to_bytes(crop_frames(face.rgb[None], face.square, size, torch.device("cpu"), fill=True).rgb)[0]


def rows_of(motion: Record, frames: int) -> Record:
    """One row of a motion ``frames`` times."""
    return motion[torch.zeros(frames, dtype=torch.long)]


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.#+-]+", "_", text).strip("_")
