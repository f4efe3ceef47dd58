"""Curves of a motion as one picture: the panels that its kind names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from cache.motion_file import Rows
from mmfa_components.errors import CacheError
from mmfa_components.geometry.laws import RULES
from mmfa_components.geometry.rotations import matrix_to_euler
from mmfa_components.records import MotionKind, Panel, Record

WIDTH, PANEL, LEFT, TOP = 1100, 190, 66, 40
PAPER, INK, SOFT, RULE = (252, 252, 250), (24, 24, 24), (110, 110, 110), (226, 226, 222)
COLOURS = ((31, 95, 168), (201, 84, 20), (30, 130, 76))
MOST_POINTS = 4000

Series = tuple[str, Tensor]


def plot_motion(path: Path, title: str, motion: Rows, kind: MotionKind, times: Tensor, unit: str = "s") -> None:
    """Draw what ``kind`` shows of ``motion`` at ``times`` (N,) in ``unit`` into a PNG; long clips are sampled evenly. Raises CacheError."""
    stride = -(-len(motion) // MOST_POINTS)
    parts = [motion.read(start, min(start + 4096, len(motion))) for start in range(0, len(motion), 4096)]
    whole = type(parts[0]).concatenate(parts)[::stride]
    at = times[::stride].double()
    panels = [(panel.title, _series(whole, panel)) for panel in kind.shown()]
    image = Image.new("RGB", (WIDTH, TOP + len(panels) * PANEL + 30), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((LEFT, 10), title, INK, ImageFont.load_default(17))
    for index, (name, series) in enumerate(panels):
        _panel(draw, TOP + index * PANEL, name, series, at, unit if index == len(panels) - 1 else "")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    except (OSError, ValueError) as error:
        raise CacheError(f"the plot cannot be written ({error})", where=str(path), fix="name a .png file in a folder that can be written") from error


def _series(motion: Record, panel: Panel) -> list[Series]:
    """The lines of a panel; a field without numbers, another system's, is a line of zeros."""
    values: Tensor = getattr(motion, panel.field)
    if panel.view == "angles":
        angles = torch.rad2deg(torch.stack(matrix_to_euler(values), -1))  # (N, ..., 3)
        lines = angles.reshape(len(values), -1, 3).mean(1)
    elif panel.view == "spread":
        lines = _spread(motion, panel.field)[:, None]
    else:
        lines = values.reshape(len(values), -1)
    return [(curve.label, lines[:, curve.component or 0]) for curve in panel.curves]


def _spread(motion: Record, field: str) -> Tensor:
    """Distance (N,) of a field to its median over the clip, as a share of its 95th percentile."""
    values: Tensor = getattr(motion, field)
    if not values.numel():
        return torch.zeros(len(values))
    median = values.median(0, keepdim=True).values.expand_as(values)
    distance = RULES[motion.laws()[field]].distance(values, median)
    return distance / distance.quantile(0.95).clamp_min(1e-9)


def _panel(draw: ImageDraw.ImageDraw, top: int, name: str, series: Sequence[Series], at: Tensor, unit: str) -> None:
    small = ImageFont.load_default(12)
    x0, x1, y0, y1 = LEFT, WIDTH - 24, top + 26, top + PANEL - 18
    values = torch.cat([v for _, v in series])
    low, high = float(values.min()), float(values.max())
    middle, reach = (low + high) / 2, max(high - low, 1e-3 * max(1.0, abs(high))) * 0.55
    low, high = middle - reach, middle + reach
    span = max(float(at[-1] - at[0]), 1e-9)
    draw.text((LEFT, top + 4), name, INK, ImageFont.load_default(13))
    left = LEFT + 220
    for index, (label, _) in enumerate(series):
        draw.line([(left, top + 12), (left + 18, top + 12)], COLOURS[index], 3)
        draw.text((left + 24, top + 5), label, INK, small)
        left += 40 + int(draw.textlength(label, small))
    for share in (0.0, 0.5, 1.0):
        y = y1 - share * (y1 - y0)
        draw.line([(x0, y), (x1, y)], RULE)
        draw.text((x0 - 6, y), f"{low + share * (high - low):.3g}", SOFT, small, anchor="rm")
    for step in range(6):
        x = x0 + step / 5 * (x1 - x0)
        draw.line([(x, y0), (x, y1)], RULE)
        if unit:
            digits = 2 if unit == "s" else 0
            draw.text((x, y1 + 6), f"{float(at[0]) + step / 5 * span:.{digits}f} {unit}", SOFT, small, anchor="ma")
    for index, (_, curve) in enumerate(series):
        points = [
            (x0 + (float(t) - float(at[0])) / span * (x1 - x0), y1 - (float(v) - low) / (high - low) * (y1 - y0))
            for t, v in zip(at, curve, strict=True)
        ]
        if len(points) > 1:
            draw.line(points, COLOURS[index], 2)
        else:
            x, y = points[0]
            draw.ellipse([(x - 3, y - 3), (x + 3, y + 3)], COLOURS[index])
