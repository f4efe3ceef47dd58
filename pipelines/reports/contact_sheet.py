"""The contact sheet: one picture that shows every job, the portrait and at a few moments the driving frame above the result."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

TILE = 160
GAP = 6
MARGIN = 24
MOST_ROWS = 12
PAPER, INK, SOFT = (250, 250, 248), (24, 24, 24), (110, 110, 110)


@attrs.frozen(eq=False)
class SheetRow:
    """One job: names, the portrait's crop, and pairs (driving crop, result) with their frame numbers; pictures (H, W, 3) uint8."""

    source: str
    driving: str
    portrait: Tensor
    pairs: Sequence[tuple[int, Tensor, Tensor]]


def draw_sheet(rows: Sequence[SheetRow], title: str, left_out: int = 0) -> Tensor:
    """Draw the sheet, (H, W, 3) uint8, from at least one row. At most MOST_ROWS rows are drawn; the others are counted below."""
    left_out += max(0, len(rows) - MOST_ROWS)
    rows = rows[:MOST_ROWS]
    columns = max(len(row.pairs) for row in rows)
    label, small = ImageFont.load_default(15), ImageFont.load_default(12)
    head, block = 34, 26 + 2 * TILE + GAP + 20
    width = 2 * MARGIN + TILE + 3 * GAP + columns * (TILE + GAP) + 60
    height = MARGIN + head + len(rows) * (block + 14) + (24 if left_out else 0) + MARGIN
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN - 4), fit(title, width - 2 * MARGIN, draw, ImageFont.load_default(19)), INK, ImageFont.load_default(19))
    for index, row in enumerate(rows):
        top = MARGIN + head + index * (block + 14)
        draw.line([(MARGIN, top - 6), (width - MARGIN, top - 6)], (215, 215, 212))
        text = f"{row.source}   moved by   {row.driving}"
        draw.text((MARGIN, top + 2), fit(text, width - 2 * MARGIN, draw, label), INK, label)
        upper, lower = top + 26, top + 26 + TILE + GAP
        sheet.paste(tile(row.portrait), (MARGIN, lower))
        draw.text((MARGIN, upper + TILE - 14), "portrait", SOFT, small)
        left = MARGIN + TILE + GAP
        draw.text((left, upper + TILE // 2 - 8), "driving", SOFT, small)
        draw.text((left, lower + TILE // 2 - 8), "result", SOFT, small)
        for column, (frame, driving, result) in enumerate(row.pairs):
            x = left + 60 + column * (TILE + GAP)
            sheet.paste(tile(driving), (x, upper))
            sheet.paste(tile(result), (x, lower))
            draw.text((x + TILE // 2, lower + TILE + 4), f"frame {frame}", SOFT, small, anchor="ma")
    if left_out:
        text = f"and {left_out} more job{'s' if left_out > 1 else ''}, not shown"
        draw.text((MARGIN, height - MARGIN - 18), text, SOFT, label)
    return torch.from_numpy(np.array(sheet))


def tile(rgb: Tensor) -> Image.Image:
    """A picture (H, W, 3) uint8 fitted into a square tile, bars left and right or above and below when it is not square."""
    image = Image.fromarray(rgb.numpy())
    scale = TILE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    square = Image.new("RGB", (TILE, TILE), (228, 228, 225))
    square.paste(image.resize(size, Image.Resampling.LANCZOS), ((TILE - size[0]) // 2, (TILE - size[1]) // 2))
    return square


def fit(text: str, width: int, draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """``text`` in one line, shortened in the middle until it fits ``width`` pixels."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    if draw.textlength(text, font) <= width:
        return text
    for keep in range(len(text) - 1, 1, -1):
        short = f"{text[: (keep + 1) // 2]}…{text[len(text) - keep // 2 :]}"
        if draw.textlength(short, font) <= width:
            return short
    return "…"
