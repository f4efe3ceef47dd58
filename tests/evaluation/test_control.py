"""Sweeps change one attribute; their summary gives back slopes and leakage that are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mmfa_components.geometry.rotations import euler_to_matrix, matrix_to_euler
from mmfa_components.records import Motion
from pipelines.evaluation.control import summarise
from pipelines.evaluation.schema import Control
from pipelines.evaluation.sweep import ATTRIBUTES, MEASURED, asked_values, spans, swept_motion

CONTROL = Control(steps=5)


def portrait() -> Motion:
    angles = [torch.tensor([a]) for a in (0.2, -0.1, 0.3)]
    return Motion(euler_to_matrix(*angles), torch.tensor([1.3]), torch.tensor([[0.1, -0.2, 0.05]]), torch.arange(4.0)[None])


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_a_sweep_changes_one_attribute_by_what_was_asked(attribute: str) -> None:
    own, change = portrait(), torch.tensor([1.0, 0.0, -1.0, 2.0])
    values = asked_values(CONTROL)[attribute]
    swept = swept_motion(own, attribute, values, change)
    angles = torch.stack(matrix_to_euler(swept.rotation)) - torch.stack(matrix_to_euler(own.rotation))
    got = {
        "yaw": angles[0], "pitch": angles[1], "roll": angles[2], "scale": (swept.scale / own.scale).log(),
        "x": swept.translation[:, 0] - 0.1, "y": swept.translation[:, 1] + 0.2, "expression": (swept.expression - own.expression)[:, 3] / 2,
    }  # fmt: skip
    for name, moved in got.items():
        wanted = values.float() if name == attribute else torch.zeros(len(values))
        torch.testing.assert_close(moved, wanted, atol=1e-5, rtol=0)
    assert (swept.translation[:, 2] == 0.05).all()
    torch.testing.assert_close(own.scale, torch.tensor([1.3]))  # the portrait's own motion is left alone
    assert spans(CONTROL)["yaw"] == pytest.approx(math.radians(20))


def measured(slope: float = 1.0, leak: float = 0.0, noise: int = 0) -> Tensor:
    """What a system measures whose attributes follow with ``slope`` and whose yaw leaks ``leak`` of x's whole range into x at its ends."""
    rows = torch.zeros(len(ATTRIBUTES), CONTROL.steps, len(MEASURED), dtype=torch.float64)
    for i, values in enumerate(asked_values(CONTROL).values()):
        rows[i, :, i] = slope * values
    rows[0, :, MEASURED.index("x")] = torch.linspace(-1, 1, CONTROL.steps, dtype=torch.float64) * leak * 2 * CONTROL.x
    rows[:, :, MEASURED.index("identity")] = 0.03
    return rows + 1e-3 * noise * torch.randn(rows.shape, generator=torch.Generator().manual_seed(noise))


def test_a_perfect_system_meets_every_target() -> None:
    still = torch.zeros(CONTROL.steps)
    result = summarise([measured(), measured()], [still, still], CONTROL, 100, 0)
    torch.testing.assert_close(result.slope, torch.ones(7, dtype=torch.float64))
    torch.testing.assert_close(result.r2, torch.ones(7, dtype=torch.float64))
    assert all(t.met for t in result.targets)
    assert len(result.targets) == 13
    assert float(result.leakage[0, MEASURED.index("identity")]) == pytest.approx(0.03)
    assert result.leakage.diagonal().isnan().all()


def test_slope_and_leakage_come_out_as_they_went_in() -> None:
    turned = [torch.linspace(0, 1.5, CONTROL.steps), torch.linspace(0, 2.5, CONTROL.steps)]
    result = summarise([measured(0.8, 0.10), measured(1.0, 0.06)], turned, CONTROL, 200, 0)
    torch.testing.assert_close(result.slope, torch.full((7,), 0.9, dtype=torch.float64))
    assert float(result.slope_low[0]) == pytest.approx(0.8)
    assert float(result.slope_high[0]) == pytest.approx(1.0)
    assert float(result.leakage[0, MEASURED.index("x")]) == pytest.approx(0.08)
    assert float(result.leakage[0, MEASURED.index("y")]) == 0
    assert result.turned == (pytest.approx(2.0), pytest.approx(2.5))
    met = {t.what: t.met for t in result.targets}
    assert not met["yaw +-20 degrees: largest leakage"]
    assert met["pitch +-15 degrees: largest leakage"]
    assert not met["expression: rotation of the head by it"]
    assert not {t.what: t.met for t in summarise([measured(0.85)], turned[:1], CONTROL, 100, 0).targets}["yaw +-20 degrees: slope"]
    assert result.plain()["attributes"]["yaw"]["leakage"]["yaw"] is None


def test_results_without_a_face_are_counted() -> None:
    one = measured(0.9, noise=1)
    one[2, -1] = torch.nan
    result = summarise([one, measured(0.9, noise=2)], [torch.full((5,), torch.nan), torch.zeros(5)], CONTROL, 100, 0)
    assert (result.lost, result.results) == (1, 70)
    assert float(result.slope[2]) == pytest.approx(0.9, abs=0.01)
    assert 0.99 < float(result.r2[2]) <= 1.0
    assert result.turned == (0.0, 0.0)
