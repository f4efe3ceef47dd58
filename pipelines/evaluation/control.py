"""Control of single attributes, from the sweeps of many portraits: slope, R2 and leakage, and whether the targets are met."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from pipelines.evaluation.schema import Control
from pipelines.evaluation.sweep import ATTRIBUTES, MEASURED, asked_values, spans

SLOPE_TOLERANCE, MOST_LEAKAGE, MOST_TURN = 0.1, 0.05, 1.0
TARGETED = ("yaw", "pitch", "roll", "scale", "x", "y")
"""Attributes whose slope and leakage have targets."""
UNITS = {"yaw": "degrees", "pitch": "degrees", "roll": "degrees", "scale": "factor", "x": "half sides", "y": "half sides", "expression": "strength"}


@attrs.frozen
class Target:
    """One target of the project: what was wanted, what was measured, whether it is met."""

    what: str
    wanted: str
    measured: str
    met: bool


@attrs.frozen(eq=False)
class ControlResult:
    """What the sweeps of one animator say. Rows are the attributes that were moved.

    slope, r2: (7,) of measured against asked, each portrait's own mean taken out; slope_low, slope_high: 95 % interval over portraits.
    leakage: (7, 8): mean over portraits and over the ends of the sweep of the absolute change of each measured attribute, as a share of
    the width of that attribute's own sweep (identity: 1 - CSIM); on the diagonal NaN.  curves: (7, steps) mean measured values, spread:
    (7, steps) their standard deviation over portraits.  turned: mean and largest rotation in degrees by full expression alone.
    portraits: how many.  lost: results without a face, of ``results``.
    """

    slope: Tensor
    r2: Tensor
    slope_low: Tensor
    slope_high: Tensor
    leakage: Tensor
    curves: Tensor
    spread: Tensor
    turned: tuple[float, float]
    portraits: int
    lost: int
    results: int
    targets: tuple[Target, ...]

    def plain(self) -> dict[str, Any]:
        """As plain data, NaN as null."""
        rows = {}
        for i, name in enumerate(ATTRIBUTES):
            leaks = {m: _number(self.leakage[i, j]) for j, m in enumerate(MEASURED)}
            rows[name] = {
                "slope": _number(self.slope[i]), "slope_low": _number(self.slope_low[i]), "slope_high": _number(self.slope_high[i]),
                "r2": _number(self.r2[i]), "leakage": leaks, "curve": [_number(v) for v in self.curves[i]],
            }  # fmt: skip
        turned = {"mean_degrees": _number(self.turned[0]), "largest_degrees": _number(self.turned[1])}
        counts = {"portraits": self.portraits, "results": self.results, "no_face": self.lost}
        return {"attributes": rows, "rotation_by_expression": turned, **counts, "targets": [attrs.asdict(t) for t in self.targets]}


def summarise(measured: Sequence[Tensor], turned: Sequence[Tensor], control: Control, resamples: int, seed: int) -> ControlResult:
    """From ``measured`` (7, steps, 8) and ``turned`` (steps,) of each portrait to the result. At least one portrait is needed."""
    stack = torch.stack([m.double() for m in measured])  # (P, 7, steps, 8)
    asked = torch.stack(list(asked_values(control).values()))  # (7, steps)
    own = torch.stack([stack[:, i, :, i] for i in range(len(ATTRIBUTES))], 1)  # (P, 7, steps)
    slope, r2 = _fit(asked, own)
    draws = torch.randint(len(stack), (resamples, len(stack)), generator=torch.Generator().manual_seed(seed))
    slopes = torch.stack([_fit(asked, own[row])[0] for row in draws])
    leakage = _leakage(stack, spans(control))
    ends = torch.stack([t.double()[-1] for t in turned])
    ends = ends[~ends.isnan()]
    turn = (float(ends.mean()), float(ends.max())) if len(ends) else (math.nan, math.nan)
    lost = int(stack[..., 0].isnan().sum())
    return ControlResult(
        slope, r2, slopes.nanquantile(0.025, dim=0), slopes.nanquantile(0.975, dim=0), leakage, own.nanmean(0), _deviation(own), turn,
        len(stack), lost, stack[..., 0].numel(), _targets(slope, leakage, turn, control),
    )  # fmt: skip


def _fit(asked: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """Slope and R2 (7,) of own (P, 7, steps) against asked (7, steps), means of each portrait taken out; missing values left out."""
    seen = ~own.isnan()
    count = seen.sum(-1, keepdim=True).clamp_min(1)
    x = asked.expand_as(own).where(seen, 0.0)
    y = own.where(seen, 0.0)
    x = (x - x.sum(-1, keepdim=True) / count).where(seen, 0.0)
    y = (y - y.sum(-1, keepdim=True) / count).where(seen, 0.0)
    xy, xx, yy = ((a * b).sum((0, 2)) for a, b in ((x, y), (x, x), (y, y)))
    return xy / xx, xy.square() / (xx * yy)


def _leakage(stack: Tensor, reach: dict[str, float]) -> Tensor:
    """See ControlResult. stack: (P, 7, steps, 8)."""
    widths = torch.tensor([reach[m] * (1.0 if m == "expression" else 2.0) if m in reach else 1.0 for m in MEASURED], dtype=torch.float64)
    ends = stack[:, :, [0, -1]].abs() / widths
    ends[:, ATTRIBUTES.index("expression"), 0] = torch.nan  # strength 0 is the unmoved portrait
    shares = ends.permute(1, 3, 0, 2).flatten(2).nanmean(2)  # (7, 8)
    shares[range(len(ATTRIBUTES)), range(len(ATTRIBUTES))] = torch.nan
    return shares


def _deviation(own: Tensor) -> Tensor:
    return (own - own.nanmean(0)).square().nanmean(0).sqrt()


def _targets(slope: Tensor, leakage: Tensor, turn: tuple[float, float], control: Control) -> tuple[Target, ...]:
    targets = []
    for i, name in enumerate(ATTRIBUTES):
        if name not in TARGETED:
            continue
        reach = f"{1 / control.scale:.2g} to {control.scale:g}" if name == "scale" else f"+-{getattr(control, name):g}"
        value = float(slope[i])
        label = f"{name} {reach} {UNITS[name]}"
        targets.append(Target(f"{label}: slope", f"1 +- {SLOPE_TOLERANCE}", f"{value:.3f}", abs(value - 1) <= SLOPE_TOLERANCE))
        row = leakage[i]
        worst = int(row.nan_to_num(-1).argmax())
        met = bool(row[worst] < MOST_LEAKAGE)
        targets.append(Target(f"{label}: largest leakage", f"under {MOST_LEAKAGE:.0%}", f"{float(row[worst]):.1%} ({MEASURED[worst]})", met))
    measured = f"mean {turn[0]:.2f}, largest {turn[1]:.2f} degrees"
    targets.append(Target("expression: rotation of the head by it", f"within {MOST_TURN:g} degree (mean)", measured, turn[0] <= MOST_TURN))
    return tuple(targets)


def _number(value: Tensor | float) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
