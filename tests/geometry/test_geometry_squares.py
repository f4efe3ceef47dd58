"""Rotated squares: round trips, what a crop shows, gradients, shrinking without aliases."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mmfa_components.geometry.squares import crop_squares, from_crop, region_of_detection, square_of_landmarks, to_crop

SQUARES = torch.tensor([[30.0, 40.0, 20.0, 0.0], [12.5, 7.0, 33.0, 0.6], [100.0, -5.0, 64.0, -2.0]])


def ramp(width: int, height: int) -> Tensor:
    """(1, 2, H, W): every pixel holds the x and y of its centre."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([x, y])[None]


def mesh(points: dict[int, tuple[float, float]]) -> Tensor:
    """Landmarks (1, 478, 3): the given points, the others all at (50, 50)."""
    flat = torch.full((1, 478, 3), 50.0)
    for index, (x, y) in points.items():
        flat[0, index, :2] = torch.tensor([x, y])
    return flat


@pytest.mark.parametrize("width", [2, 3])
def test_points_there_and_back(width: int) -> None:
    torch.manual_seed(0)
    points = torch.rand(3, 9, width) * 100
    there = to_crop(points, SQUARES, 256)
    assert torch.allclose(from_crop(there, SQUARES, 256), points, atol=1e-3)
    if width == 3:
        assert torch.allclose(there[..., 2], points[..., 2] * (256 / SQUARES[:, 2])[:, None], atol=1e-3)


def test_centre_and_corner_of_a_square() -> None:
    square = torch.tensor([[30.0, 40.0, 20.0, math.pi / 2]])  # clockwise: its own right points down
    points = torch.tensor([[[30.0, 40.0], [30.0, 50.0], [40.0, 30.0]]])
    assert torch.allclose(to_crop(points, square, 10)[0], torch.tensor([[5.0, 5.0], [10.0, 5.0], [0.0, 0.0]]), atol=1e-4)


def test_whole_image_is_the_identity() -> None:
    torch.manual_seed(0)
    image = torch.rand(2, 3, 32, 32)
    whole = torch.tensor([[16.0, 16.0, 32.0, 0.0]]).expand(2, 4)
    assert torch.allclose(crop_squares(image, whole, 32), image, atol=1e-5)


def test_quarter_turn_is_exact() -> None:
    torch.manual_seed(0)
    image = torch.rand(1, 3, 32, 32)
    square = torch.tensor([[16.0, 16.0, 32.0, math.pi / 2]])
    assert torch.allclose(crop_squares(image, square, 32), image.rot90(1, (2, 3)), atol=1e-4)  # a square turned clockwise shows it upright


def test_pixels_of_a_crop_come_from_where_from_crop_says() -> None:
    image = ramp(90, 70)
    square = torch.tensor([[45.0, 35.0, 30.0, 0.4]])
    crop = crop_squares(image, square, 24)
    centres = ramp(24, 24).flatten(2).transpose(1, 2)  # (1, 576, 2), pixel centres of the crop
    wanted = from_crop(centres, square, 24)
    assert torch.allclose(crop.flatten(2).transpose(1, 2), wanted, atol=1e-3)


def test_outside_repeats_the_edge() -> None:
    image = torch.zeros(1, 1, 16, 16)
    image[..., -1] = 1.0
    crop = crop_squares(image, torch.tensor([[24.0, 8.0, 16.0, 0.0]]), 16)
    assert torch.allclose(crop, torch.ones_like(crop))


def test_shrinking_averages_instead_of_picking() -> None:
    board = ((torch.arange(128)[:, None] + torch.arange(128)) % 2).float()[None, None]
    crop = crop_squares(board, torch.tensor([[64.0, 64.0, 128.0, 0.0]]), 32)
    assert (crop - 0.5).abs().max() < 0.05
    torch.manual_seed(0)
    noise = torch.rand(1, 1, 128, 128)
    wanted = torch.nn.functional.avg_pool2d(noise, 4)
    assert (crop_squares(noise, torch.tensor([[64.0, 64.0, 128.0, 0.0]]), 32) - wanted).abs().mean() < 0.03


def test_enlarging_is_bilinear() -> None:
    image = ramp(16, 16)
    crop = crop_squares(image, torch.tensor([[8.0, 8.0, 8.0, 0.0]]), 64)
    assert torch.allclose(crop[0, 0, 0], 4 + (torch.arange(64) + 0.5) / 8, atol=1e-4)


def test_gradient_in_the_image() -> None:
    image = torch.rand(1, 1, 12, 12, dtype=torch.float64, requires_grad=True)
    square = torch.tensor([[6.3, 5.8, 9.0, 0.3]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: crop_squares(x, square, 5), image)


def test_empty_batch() -> None:
    assert crop_squares(torch.zeros(0, 3, 8, 8), torch.zeros(0, 4), 16).shape == (0, 3, 16, 16)


def test_square_of_landmarks_levels_the_eyes() -> None:
    level = mesh({33: (30.0, 40.0), 263: (70.0, 40.0), 152: (50.0, 90.0), 10: (50.0, 10.0)})
    assert square_of_landmarks(level, 0.5)[0].tolist() == pytest.approx([50.0, 50.0, 160.0, 0.0], abs=1e-4)
    turned = from_crop(level, torch.tensor([[50.0, 50.0, 100.0, 0.5]]), 100)  # clockwise by 0.5
    assert square_of_landmarks(turned, 0.5)[0].tolist() == pytest.approx([50.0, 50.0, 160.0, 0.5], abs=1e-3)


def test_region_of_detection_turns_and_grows_with_the_face() -> None:
    six = torch.tensor([[[40.0, 50.0], [60.0, 50.0], [50.0, 60.0], [50.0, 70.0], [35.0, 55.0], [65.0, 55.0]]])
    x, y, side, angle = region_of_detection(six)[0].tolist()
    assert (x, angle) == pytest.approx((50.0, 0.0), abs=1e-4)
    assert 50 < y < 70
    assert 60 < side < 120  # eyes 20 apart: a face of about 50, and a quarter around it
    assert region_of_detection(six * 3)[0].tolist() == pytest.approx([3 * x, 3 * y, 3 * side, 0.0], abs=1e-3)
    turned = from_crop(six, torch.tensor([[50.0, 50.0, 100.0, -0.8]]), 100)
    assert region_of_detection(turned)[0, 2:].tolist() == pytest.approx([side, -0.8], abs=1e-3)
