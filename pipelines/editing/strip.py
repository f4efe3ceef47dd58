"""The overview of edits: for every result a strip of moments, with the source's and the driving clip's frames above it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipelines.media import probe, read_image, write_image
from pipelines.reports.contact_sheet import MOST_ROWS
from pipelines.reports.grid import GridRow, draw_grid
from pipelines.reports.run_report import JobReport
from pipelines.runs.job_keys import SYNTHETIC, read_notes
from pipelines.stages.crop import crop_frames
from pipelines.stages.encode import opaque
from pipelines.stages.frames import FrameSource, to_bytes
from pipelines.stages.motion_file import is_motion_file

CROP = 256


def write_strips(path: Path, title: str, jobs: Sequence[JobReport]) -> bool:
    """Write the strips of all finished jobs; False when there is none to show."""
    finished = [job for job in jobs if job.status in ("done", "skipped")]
    frames = FrameSource(keep=4)
    try:
        rows = [row for job in finished[:MOST_ROWS] for row in _rows(job, frames)]
    finally:
        frames.close()
    if not rows:
        return False
    left = len(finished) - MOST_ROWS
    write_image(path, draw_grid(rows, title, f"and {left} more results" if left > 0 else ""), metadata={"synthetic": SYNTHETIC})
    return True


def _rows(job: JobReport, frames: FrameSource) -> list[GridRow]:
    notes = read_notes(Path(job.output))
    if not {"moments", "source_square"} <= notes.keys():
        return []
    moments, output, source = notes["moments"], Path(job.output), Path(job.source)
    still = probe(output).kind == "image"
    made = [opaque(read_image(output))] if still else [frames.read(output, m, m + 1)[0] for m in moments]
    pictures = _source(source, notes, frames)
    rows = [GridRow("source", [("", picture) for picture in pictures])]
    driving = Path(job.driving)
    if "driving_squares" in notes and not is_motion_file(driving):
        seen = zip(moments, notes["driving_squares"], strict=True)
        rows.append(GridRow("driving", [("", _crop(frames.read(driving, m, m + 1), square)) for m, square in seen]))
    captions = [f"frame {m}" for m in moments] if len(made) > 1 else [""]
    rows.append(GridRow("result", list(zip(captions, made, strict=True))))
    return [GridRow(rows[0].label, rows[0].tiles, job.name), *rows[1:]]


def _source(path: Path, notes: dict[str, Any], frames: FrameSource) -> list[Tensor]:
    if probe(path).kind == "image":
        return [_crop(opaque(read_image(path))[None], notes["source_square"])]
    shown = [int(m) for m in notes.get("source_shown", [0])]
    return [_crop(frames.read(path, m, m + 1), notes["source_square"]) for m in shown]


def _crop(rgb: Tensor, square: list[float]) -> Tensor:
    return to_bytes(crop_frames(rgb, torch.tensor([square]), CROP, torch.device("cpu"), fill=True).rgb)[0]
