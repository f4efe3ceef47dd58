"""Gathers the pictures of the contact sheet from the files themselves, so that skipped jobs appear as well as new ones."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmfa_components.errors import MMFAError
from mmfa_components.geometry.transfer import departure
from mmfa_components.records import MotionKind, Record
from pipelines.media import probe, read_image, read_metadata, write_image
from pipelines.reports.contact_sheet import MOST_ROWS, SheetRow, draw_sheet
from pipelines.reports.run_report import JobReport
from pipelines.runs.job_keys import METADATA_KEY, SYNTHETIC, read_notes
from pipelines.stages.crop import crop_frames
from pipelines.stages.encode import opaque
from pipelines.stages.frames import FrameSource, to_bytes
from pipelines.stages.motion_file import is_motion_file
from pipelines.stages.transfer import Stored

MOMENTS = 6
CROP = 256


def choose_moments(motion: Stored[Record], reference: int, kind: MotionKind, count: int = MOMENTS) -> list[int]:
    """Frames worth showing: of each of ``count`` even parts of the clip, its edges left out, the frame farthest from the reference."""
    frames = len(motion)
    start = motion.read(reference, reference + 1)
    chosen = []
    edges = [round(i * frames / count) for i in range(count + 1)]
    for first, last in pairwise(edges):
        if last <= first:
            continue
        edge = (last - first) // 6
        low, high = first + edge, last - edge
        stride = max(1, (high - low) // 200)
        part = motion.read(low, min(high, low + 200 * stride))[::stride]
        chosen.append(low + stride * int(departure(part, start, kind).argmax()))
    return chosen


def write_sheet(path: Path, title: str, jobs: list[JobReport]) -> bool:
    """Write the contact sheet of all finished jobs; False when there is none to show. Leaves a sheet that is up to date alone."""
    finished = [job for job in jobs if job.status in ("done", "skipped")]
    if not finished:
        return False
    digest = hashlib.sha256(json.dumps([title, [(j.key, j.source, j.driving) for j in finished]]).encode()).hexdigest()
    if path.is_file() and _metadata(path).get(METADATA_KEY) == digest:
        return True
    rows = [row for job in finished[:MOST_ROWS] if (row := _row(job)) is not None]
    if not rows:
        return False
    write_image(path, draw_sheet(rows, title, left_out=max(0, len(finished) - MOST_ROWS)), metadata={"synthetic": SYNTHETIC, METADATA_KEY: digest})
    return True


def _row(job: JobReport) -> SheetRow | None:
    notes = read_notes(Path(job.output))
    if not {"moments", "driving_squares", "source_square"} <= notes.keys():
        return None
    frames = FrameSource(keep=3)
    try:
        source = Path(job.source)
        whole = opaque(read_image(source))[None] if probe(source).kind == "image" else frames.read(source, 0, 1)
        pairs = []
        for moment, square in zip(notes["moments"], notes["driving_squares"], strict=True):
            result = frames.read(Path(job.output), moment, moment + 1)
            pairs.append((int(moment), _driving(frames, job, moment, square), result[0]))
        return SheetRow(source.name, Path(job.driving).name, _crop(whole, notes["source_square"]), pairs)
    finally:
        frames.close()


def _driving(frames: FrameSource, job: JobReport, moment: int, square: list[float]) -> Tensor:
    """The driving frame; a motion file has no picture, so an empty one stands for it."""
    if is_motion_file(Path(job.driving)):
        return torch.full((CROP, CROP, 3), 228, dtype=torch.uint8)
    return _crop(frames.read(Path(job.driving), moment, moment + 1), square)


def _crop(rgb: Tensor, square: list[float]) -> Tensor:
    return to_bytes(crop_frames(rgb, torch.tensor([square]), CROP, torch.device("cpu"), fill=True).rgb)[0]


def _metadata(path: Path) -> dict[str, Any]:
    try:
        return dict(read_metadata(path))
    except (MMFAError, OSError):  # an unreadable old sheet is simply drawn anew
        return {}
