"""What a training run tells: losses.csv, TensorBoard, and lines for people."""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from mmfa_components.errors import OutputError, PluginError, reason_of

FIRST = ("step", "samples", "rate", "seconds", "total")
LAST = ("gradient", "bad")
"""Columns of losses.csv before and after those of the losses."""
SECONDS_BETWEEN_LINES = 10.0
CSV_NAME = "losses.csv"


class TrainingLog:
    """Writes the log of one run folder.

    Rows and scalars later than ``step`` (of a run that was killed) are taken out first.
    names: of the losses.  unit: what a batch counts, for people.
    """

    def __init__(
        self,
        folder: Path,
        step: int,
        tensorboard: bool,
        console: Console,
        names: Sequence[str],
        unit: str = "pairs",
    ) -> None:
        self.folder, self.console, self.unit = folder, console, unit
        self.start = self.last_line = time.monotonic()
        self.first_step = step
        path = folder / CSV_NAME
        rows = _rows_until(path, step)
        try:
            self.file = path.open("w", newline="", encoding="utf-8")
        except OSError as error:
            what = f"the log cannot be written ({reason_of(error)})"
            raise OutputError(what, where=str(path), fix="choose another run.folder") from error
        columns = (*FIRST, *names, *LAST)
        self.csv = csv.DictWriter(self.file, columns, restval="", extrasaction="ignore")
        self.csv.writeheader()
        self.csv.writerows(rows)
        self.writer = _tensorboard(folder, step) if tensorboard else None

    def scalars(self, step: int, samples: int, rate: float, losses: Mapping[str, float]) -> None:
        """Log the losses of a step."""
        seconds = time.monotonic() - self.start
        row = {"step": step, "samples": samples, "rate": f"{rate:.6g}", "seconds": f"{seconds:.2f}"}
        self.csv.writerow({**row, **{name: f"{value:.6g}" for name, value in losses.items()}})
        self.file.flush()
        if self.writer is not None:
            self.writer.add_scalar("rate", rate, step)
            for name, value in losses.items():
                self.writer.add_scalar(f"losses/{name}", value, step)

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        """Log figures of the held-out people."""
        if self.writer is not None:
            for name, value in figures.items():
                self.writer.add_scalar(f"val/{name}", value, step)
        told = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
        self.say(f"step {step}: {told}")

    def picture(self, step: int, picture: Tensor) -> None:
        """Log a picture (3, H, W) in [0, 1], also as a file."""
        from pipelines.media import write_image

        rgb = (picture.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu()
        write_image(self.folder / "pictures" / f"step_{step:07d}.png", rgb)
        if self.writer is not None:
            self.writer.add_image("val", picture.clamp(0, 1).cpu(), step)

    def progress(self, step: int, steps: int, batch: int, left: float | None, losses: Mapping[str, float]) -> None:
        """Every few seconds a line: step, speed, time left, losses.

        left: seconds this call may still take, None for no limit.
        """
        now = time.monotonic()
        if now - self.last_line < SECONDS_BETWEEN_LINES or step == self.first_step:
            return
        self.last_line = now
        per_second = (step - self.first_step) / (now - self.start)
        rest = (steps - step) / per_second
        if left is not None:
            rest = min(rest, left)
        text = "  ".join(f"{name} {value:.4g}" for name, value in losses.items())
        speed = f"{per_second * batch:.1f} {self.unit}/s"
        self.say(f"step {step}/{steps}  {speed}  {_span(rest)} left  {text}")

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Close all files."""
        self.file.close()
        if self.writer is not None:
            self.writer.close()


def _rows_until(path: Path, step: int) -> list[dict[str, str]]:
    """The rows of an earlier log up to ``step``; a row cut off by a kill is dropped."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return []
    rows = csv.DictReader(io.StringIO(text))
    whole = [r for r in rows if (r.get("step") or "").isdigit() and None not in r.values()]
    return [r for r in whole if int(r["step"]) <= step]


def _tensorboard(folder: Path, step: int) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        fix = "pip install 'mmfa[train]', or set run.tensorboard=false"
        raise PluginError("TensorBoard is not installed", where="run.tensorboard", fix=fix) from error
    return SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)


def _span(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours} h {rest // 60:02d} min" if hours else f"{rest // 60} min {rest % 60:02d} s"
