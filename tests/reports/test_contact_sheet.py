"""The contact sheet: where pictures land, how many jobs it shows, long names, portrait and landscape pictures."""

from __future__ import annotations

import torch
from PIL import Image, ImageDraw, ImageFont

from pipelines.reports.contact_sheet import MOST_ROWS, TILE, SheetRow, draw_sheet, fit, tile


def flat(colour: tuple[int, int, int], width: int = 256, height: int = 256) -> torch.Tensor:
    return torch.tensor(colour, dtype=torch.uint8).expand(height, width, 3).contiguous()


def row(pairs: int = 3, name: str = "portrait.png") -> SheetRow:
    return SheetRow(name, "clip.mp4", flat((200, 0, 0)), [(10 * i, flat((0, 200, 0)), flat((0, 0, 200))) for i in range(pairs)])


def area(sheet: torch.Tensor, colour: tuple[int, int, int]) -> int:
    return int((sheet == torch.tensor(colour, dtype=torch.uint8)).all(-1).sum())


def test_every_picture_is_there_once_in_full() -> None:
    sheet = draw_sheet([row(3), row(3)], "Test")
    assert area(sheet, (200, 0, 0)) == 2 * TILE * TILE
    assert area(sheet, (0, 200, 0)) == 6 * TILE * TILE
    assert area(sheet, (0, 0, 200)) == 6 * TILE * TILE


def test_driving_lies_right_above_its_result() -> None:
    sheet = draw_sheet([row(4)], "Test")
    green = (sheet == torch.tensor((0, 200, 0), dtype=torch.uint8)).all(-1)
    blue = (sheet == torch.tensor((0, 0, 200), dtype=torch.uint8)).all(-1)
    assert torch.equal(green.any(0), blue.any(0))
    assert green.any(1).nonzero().max() < blue.any(1).nonzero().min()


def test_many_jobs_keep_the_sheet_small_and_say_how_many_are_missing() -> None:
    full = draw_sheet([row()] * MOST_ROWS, "Test")
    more = draw_sheet([row()] * (MOST_ROWS + 5), "Test", left_out=2)
    assert area(more, (200, 0, 0)) == MOST_ROWS * TILE * TILE
    assert full.shape[0] < more.shape[0] < full.shape[0] + 50
    assert more.shape[0] < 6000


def test_pictures_keep_their_proportions() -> None:
    wide = tile(flat((9, 9, 9), width=400, height=100))
    inked = [wide.getpixel((x, y)) == (9, 9, 9) for x in range(TILE) for y in range(TILE)]
    assert sum(inked) == TILE * TILE // 4


def test_long_names_are_shortened_in_the_middle() -> None:
    draw = ImageDraw.Draw(Image.new("RGB", (10, 10)))
    font = ImageFont.load_default(15)
    name = "a_very_long_name_" * 20 + "end.mp4"
    short = fit(name, 300, draw, font)
    assert draw.textlength(short, font) <= 300
    assert short.startswith("a_very")
    assert short.endswith("end.mp4")
    assert "…" in short
    assert fit("short.mp4", 300, draw, font) == "short.mp4"
