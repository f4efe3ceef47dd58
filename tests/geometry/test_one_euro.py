"""The one-euro filter: what rests is steadied, what moves is followed, each field by its law."""

from __future__ import annotations

import pytest
import torch

from mmfa_components.geometry.one_euro import OneEuro, Tuning
from mmfa_components.geometry.rotations import euler_to_matrix, geodesic_degrees
from mmfa_components.records import Motion

RATE = 25.0


def motions(yaw: torch.Tensor, other: torch.Tensor | None = None) -> Motion:
    """Motion with this yaw in degrees (N,) and the other fields at 0, or 1 for the scale."""
    rest = torch.zeros(len(yaw)) if other is None else other
    rotation = euler_to_matrix(torch.deg2rad(yaw), 0 * yaw, 0 * yaw)
    place = torch.stack([rest, 0 * rest, 0 * rest], 1)
    return Motion(rotation, rest.exp(), place, rest[:, None].expand(-1, 4))


def filtered(rows: Motion, strength: float = 1.0, rate: float = RATE) -> Motion:
    one_euro: OneEuro[Motion] = OneEuro(strength=strength)
    steps = [one_euro.step(rows[i : i + 1], i / rate) for i in range(len(rows))]
    return Motion.concatenate(steps)


def yaw_of(rows: Motion) -> torch.Tensor:
    return torch.rad2deg(torch.asin(-rows.rotation[:, 0, 2]))


def test_what_rests_stays_exactly() -> None:
    rows = motions(torch.full((20,), 12.0), torch.full((20,), 0.1))
    made = filtered(rows)
    for name, value in made.tensors().items():
        assert torch.allclose(value, getattr(rows, name), atol=1e-6), name


def test_jitter_is_held_back_in_every_field() -> None:
    noise = torch.randn(200, generator=torch.Generator().manual_seed(1))
    made = filtered(motions(5 + 0.3 * noise, 0.002 * noise))
    assert yaw_of(made)[50:].std() < 0.55 * 0.3
    for name in ("translation", "expression"):
        assert getattr(made, name)[50:, 0].std() < 0.55 * 0.002, name
    assert made.scale[50:].log().std() < 0.55 * 0.002
    assert torch.allclose(torch.linalg.det(made.rotation), torch.ones(200), atol=1e-4)


def test_a_fast_turn_is_followed_closely_and_a_slow_filter_is_not() -> None:
    yaw = torch.cat([torch.zeros(25), torch.linspace(0, 40, 13), torch.full((25,), 40.0)])
    made = yaw_of(filtered(motions(yaw)))
    behind = float((yaw - made)[30:38].max())
    slow = yaw_of(filtered(motions(yaw), strength=20.0))
    assert behind < 6.0  # less than two frames at 80 degrees per second
    assert float((yaw - slow)[30:38].max()) > 3 * behind
    assert made[-1] == pytest.approx(40.0, abs=0.5)


def test_nothing_looks_ahead() -> None:
    yaw = torch.linspace(0, 30, 20)
    whole = filtered(motions(yaw))
    for count in (1, 7, 19):
        part = filtered(motions(yaw[:count]))
        assert torch.equal(part.rotation, whole.rotation[:count])


def test_strength_nothing_lets_everything_through() -> None:
    rows = motions(torch.randn(10, generator=torch.Generator().manual_seed(2)))
    assert torch.equal(filtered(rows, strength=0.0).rotation, rows.rotation)


def test_more_frames_a_second_do_not_make_it_slower() -> None:
    """The cutoff is in Hz: half a second after a step, the same is left of it at any rate."""
    left = []
    for rate in (15.0, 60.0):
        yaw = torch.cat([torch.zeros(2), torch.full((int(rate / 2),), 1.0)])
        left.append(1 - float(yaw_of(filtered(motions(yaw), rate=rate))[-1]))
    assert left[0] == pytest.approx(left[1], abs=0.06)


def test_reset_and_times_that_do_not_rise() -> None:
    one_euro: OneEuro[Motion] = OneEuro({"expression": Tuning(100.0, 0.0)})
    rows = motions(torch.tensor([0.0, 20.0, -20.0]), torch.tensor([0.0, 1.0, -1.0]))
    one_euro.step(rows[0:1], 5.0)
    again = one_euro.step(rows[1:2], 5.0)
    assert bool(torch.isfinite(again.rotation).all())
    assert float(geodesic_degrees(again.rotation, rows.rotation[0:1])) < 10.0
    one_euro.reset()
    assert torch.equal(one_euro.step(rows[2:3], 0.0).rotation, rows.rotation[2:3])
