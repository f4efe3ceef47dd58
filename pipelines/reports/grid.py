"""A grid of pictures with captions: strips of edits, walks through the latent space, sweeps of the pose."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from pipelines.reports.contact_sheet import INK, MARGIN, PAPER, SOFT, TILE, fit, tile

LABEL, GAP = 140, 4
MOST_ROWS = 40


@attrs.frozen(eq=False)
class GridRow:
    """One row: what stands beside it, and its pictures (H, W, 3) uint8, each with a caption ("" for none). group: heading above the row."""

    label: str
    tiles: Sequence[tuple[str, Tensor]]
    group: str = ""


def draw_grid(rows: Sequence[GridRow], title: str, note: str = "") -> Tensor:
    """Draw the grid, (H, W, 3) uint8, from at least one row of at least one picture. note: a small line below."""
    left_out = max(0, len(rows) - MOST_ROWS)
    rows = rows[:MOST_ROWS]
    columns = max(len(row.tiles) for row in rows)
    big, label, small = ImageFont.load_default(19), ImageFont.load_default(14), ImageFont.load_default(12)
    heights = [TILE + GAP + (16 if any(c for c, _ in row.tiles) else 0) + (28 if row.group else 0) for row in rows]
    note += f"{'; ' if note else ''}and {left_out} more rows, not shown" if left_out else ""
    width = 2 * MARGIN + LABEL + columns * (TILE + GAP)
    sheet = Image.new("RGB", (width, MARGIN + 36 + sum(heights) + (24 if note else 0) + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN - 4), fit(title, width - 2 * MARGIN, draw, big), INK, big)
    top = MARGIN + 36
    for row, height in zip(rows, heights, strict=True):
        if row.group:
            draw.line([(MARGIN, top + 3), (width - MARGIN, top + 3)], (215, 215, 212))
            draw.text((MARGIN, top + 8), fit(row.group, width - 2 * MARGIN, draw, label), INK, label)
        y = top + (28 if row.group else 0)
        for number, line in enumerate(_lines(row.label, LABEL - 12, draw, label)):
            draw.text((MARGIN, y + TILE // 2 - 18 + 17 * number), line, SOFT, label)
        for column, (caption, picture) in enumerate(row.tiles):
            x = MARGIN + LABEL + column * (TILE + GAP)
            sheet.paste(tile(picture), (x, y))
            if caption:
                draw.text((x + TILE // 2, y + TILE + 2), fit(caption, TILE, draw, small), SOFT, small, anchor="ma")
        top += height
    if note:
        draw.text((MARGIN, top + 6), fit(note, width - 2 * MARGIN, draw, small), SOFT, small)
    return torch.from_numpy(np.array(sheet))


def _lines(text: str, width: int, draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    """``text`` broken at spaces into at most three lines."""
    lines = [""]
    for word in text.replace("#", " #").split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and draw.textlength(longer, font) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [fit(line, width, draw, font) for line in lines[:3]]
