"""What is held still: below the face and along the border, unless the flow brings the face there."""

from __future__ import annotations

import torch

from mmfa_components.geometry.grid import grid_points
from mmfa_components.geometry.holding import BORDER, SIDE, eased, held, still_map

CPU = torch.device("cpu")


def face(x: float = 0.0, y: float = -0.1) -> torch.Tensor:
    """Landmarks (1, 40, 3) all around a face 1.2 high and 0.8 wide."""
    angle = torch.arange(40) * 2 * torch.pi / 40
    return torch.stack([x + 0.4 * angle.cos(), y + 0.6 * angle.sin(), 0 * angle], -1)[None]


def at(maps: torch.Tensor, x: float, y: float) -> torch.Tensor:
    """Values of maps (1, M, S, S) at a place in [-1, 1]."""
    side = maps.shape[-1]
    return maps[0, :, int((y + 1) / 2 * side), int((x + 1) / 2 * side)]


def shifted(x: float, y: float) -> torch.Tensor:
    """The flow of a portrait that moves by (x, y)."""
    return grid_points((SIDE, SIDE), CPU)[None] - torch.tensor([x, y])


def test_a_face_moves_whole_and_what_is_below_it_does_not() -> None:
    still = still_map(face())
    assert still.shape == (1, 2, SIDE, SIDE)
    for place in ((0.0, -0.1), (0.0, 0.45), (0.38, -0.1), (0.5, -0.2), (-0.5, -0.5), (0.0, -0.9)):  # face, chin, ears, hair
        assert at(still, *place)[0] == 0
    assert at(still, 0.0, 0.9)[0] == 1
    assert at(still, 0.6, 0.8)[0] > 0.9  # a shoulder
    assert (at(still, 0.0, 0.3)[1], at(still, 0.8, 0.8)[1]) == (0, 1)
    assert bool((still[0, 0, :, SIDE // 2].diff() >= -1e-6).all())  # ever stiller from the chin downwards


def test_nothing_moves_at_the_border_and_everything_within_where_no_flow_is_held() -> None:
    still = held(shifted(0, 0), still_map(face()))
    edge = torch.cat([still[0, 0, 0], still[0, 0, -1], still[0, 0, :, 0], still[0, 0, :, -1]])
    assert edge.min() == 1
    inside = grid_points((SIDE, SIDE), CPU).abs().amax(-1) < 1 - BORDER
    assert held(shifted(0, 0), torch.zeros(1, 2, 4, 4))[0, 0][inside].max() == 0
    assert held(shifted(0, 0), torch.zeros(1, 0, 1, 1)).max() == 0


def test_a_chin_that_moves_down_is_not_cut_and_one_that_moves_up_leaves_the_shoulders() -> None:
    still = still_map(face())
    low, high = 0.5, 0.62  # chin of the portrait, and a place that is still when nothing moves
    assert at(held(shifted(0, 0), still), 0.0, high)[0] > 0.15
    assert at(held(shifted(0, 0.15), still), 0.0, high)[0] < 0.01  # the chin is there now
    up = held(shifted(0, -0.15), still)
    assert at(up, 0.0, 0.95)[0] == 1
    assert at(up, 0.0, low - 0.15)[0] < 0.05


def test_a_head_that_tilts_takes_no_shoulder_along() -> None:
    """Beside the chin the flow of a tilt shows what was beside the cheek; the shoulder that is there stays."""
    angle = torch.tensor(0.3)
    turn = torch.stack([torch.stack([angle.cos(), angle.sin()]), torch.stack([-angle.sin(), angle.cos()])])
    flow = (grid_points((SIDE, SIDE), CPU) @ turn)[None]
    still = held(flow, still_map(face()))
    for side in (-0.7, 0.7):
        assert at(still, side, 0.7)[0] > 0.8
    assert at(still, 0.0, 0.0)[0] < 0.01


def test_a_flow_is_brought_to_rest_where_it_is_held() -> None:
    flow, still = shifted(0.2, 0.1), torch.zeros(1, 1, SIDE, SIDE)
    still[..., : SIDE // 2] = 1
    rest = grid_points((SIDE, SIDE), CPU)
    shown = eased(flow, still)
    torch.testing.assert_close(shown[0, :, : SIDE // 2], rest[:, : SIDE // 2])
    torch.testing.assert_close(shown[0, :, SIDE // 2 :], flow[0, :, SIDE // 2 :])
    deep = torch.rand(1, 3, 8, 8, 3)
    assert torch.equal(eased(deep, torch.zeros(1, 1, 8, 8)), deep)
    torch.testing.assert_close(eased(deep, torch.ones(1, 1, 8, 8))[0], grid_points((3, 8, 8), CPU))


def test_the_flow_never_folds_below_a_chin_that_moves() -> None:
    """Along the neck what is shown goes down with the picture: nothing is seen twice."""
    for move in (-0.1, 0.1, 0.2):
        flow = shifted(0, move)
        down = eased(flow, held(flow, still_map(face())))[0, SIDE // 2 :, SIDE // 2, 1]
        assert down.diff().min() > -1e-3
