"""Pasting: what is outside stays, what is inside is the crop, the border between is smooth; any place, size and angle."""

from __future__ import annotations

import pytest
import torch

from pipelines.stages.paste import FEATHER, feather, paste_crops


def square(*values: float) -> torch.Tensor:
    return torch.tensor(values)


def test_outside_nothing_changes_and_the_middle_is_the_crop() -> None:
    background = torch.randint(0, 255, (1, 120, 160, 3), dtype=torch.uint8)
    crops = torch.full((2, 64, 64, 3), 200, dtype=torch.uint8)
    result = paste_crops(background, crops, square(80, 60, 64, 0))
    assert result.shape == (2, 120, 160, 3)
    outside = torch.ones(120, 160, dtype=torch.bool)
    outside[28:92, 48:112] = False
    assert torch.equal(result[0][outside], background[0][outside])
    inner = round(64 * FEATHER) + 1
    assert (result[:, 28 + inner : 92 - inner, 48 + inner : 112 - inner] == 200).all()


def test_a_crop_pasted_where_it_was_cut_gives_the_picture_back() -> None:
    from pipelines.stages.crop import crop_frames
    from pipelines.stages.frames import to_bytes

    y, x = torch.meshgrid(torch.arange(120.0), torch.arange(160.0), indexing="ij")
    picture = torch.stack([x, 2 * y, 120 + 60 * torch.sin(x / 9) * torch.cos(y / 11)], -1).round().to(torch.uint8)[None]
    for place in (square(80, 60, 64, 0), square(70.5, 55.25, 80, 0), square(80, 60, 70, 0.4)):
        crops = to_bytes(crop_frames(picture, place, 96, torch.device("cpu")).rgb)
        result = paste_crops(picture, crops, place)
        assert (result.float() - picture.float()).abs().max() <= 4


@pytest.mark.parametrize("place", [(5, 5, 40, 0), (158, 118, 60, 0), (80, 60, 400, 0), (80, 60, 50, 0.7)])
def test_squares_that_reach_over_the_border(place: tuple[float, ...]) -> None:
    background = torch.zeros(1, 120, 160, 3, dtype=torch.uint8)
    crops = torch.full((1, 32, 32, 3), 255, dtype=torch.uint8)
    result = paste_crops(background, crops, square(*place))
    assert result.max() > 200
    inside_middle = result[0, min(max(int(place[1]), 0), 119), min(max(int(place[0]), 0), 159)]
    assert (inside_middle > 250).all()


def test_a_square_outside_the_picture_changes_nothing() -> None:
    background = torch.randint(0, 255, (1, 20, 20, 3), dtype=torch.uint8)
    result = paste_crops(background, torch.zeros(1, 8, 8, 3, dtype=torch.uint8), square(-50, -50, 20, 0))
    assert torch.equal(result, background)


def test_the_background_is_not_written_to() -> None:
    background = torch.zeros(1, 40, 40, 3, dtype=torch.uint8)
    paste_crops(background, torch.full((1, 8, 8, 3), 255, dtype=torch.uint8), square(20, 20, 20, 0))
    assert background.max() == 0


def test_the_feather_is_smooth_and_monotone() -> None:
    u = torch.linspace(-1.2, 1.2, 241)
    weight = feather(u)
    torch.testing.assert_close(weight, weight.flip(0))
    assert weight[u.abs() >= 1].max() == 0
    assert weight[u.abs() < 1 - 2 * FEATHER - 0.01].min() == 1
    assert (weight[:121].diff() >= -1e-6).all()
