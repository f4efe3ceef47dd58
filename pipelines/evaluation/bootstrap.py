"""95 % intervals: clips are drawn again with replacement, all cases of a clip together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import attrs
import torch
from torch import Tensor

LEVEL = 0.95
SET_RESAMPLES = 100
"""Most resamples for figures of sets, each of which takes a decomposition of matrices."""


@attrs.frozen
class Estimate:
    """A figure with its interval.

    count: values behind it.  missing: values that could not be told (no face).  clips: groups drawn from.  better: of a difference, how many of
    them have one on the better side.
    """

    value: float
    low: float
    high: float
    count: int
    missing: int = 0
    clips: int = 0
    better: int | None = None


def estimate_mean(values: Sequence[Tensor], groups: Sequence[str], resamples: int, seed: int) -> Estimate:
    """The mean over groups of their mean, percentile interval. values: (n,) a case, NaN = missing; groups: the clip of each case.

    Groups without any value are left out of the mean and counted in ``missing``. NaN when nothing is left. Infinite values stay infinite.
    """
    joined = by_group(values, groups)
    missing = sum(int(v.isnan().sum()) for v in joined)
    means = torch.stack([v[~v.isnan()].mean() for v in joined if not bool(v.isnan().all())] or [torch.tensor(torch.nan, dtype=torch.float64)])
    count = sum(len(v) for v in joined) - missing
    drawn = means[_draws(len(means), resamples, seed)].mean(1)
    low, high = _percentiles(drawn)
    return Estimate(float(means.mean()), low, high, count, missing, len(joined))


def estimate_sums(sums: Tensor, figure: Callable[[Tensor], Tensor], resamples: int, seed: int) -> Estimate:
    """A figure of sums over all groups, such as a correlation, with its percentile interval.

    sums: (G, K) of each group.  figure: (..., K) summed over groups -> (...).  Resamples whose figure is NaN are left out of the interval.
    """
    value, drawn = float(figure(sums.sum(0))), figure(sums[_draws(len(sums), resamples, seed)].sum(1))
    drawn = drawn[~drawn.isnan()]
    low, high = _percentiles(drawn) if len(drawn) else (value, value)
    return Estimate(value, low, high, len(sums), 0, len(sums))


def by_group(values: Sequence[Tensor], groups: Sequence[str]) -> list[Tensor]:
    """The values (n, ...) of the cases of each group joined, in double precision, groups in the order in which they come first."""
    found: dict[str, list[Tensor]] = {}
    for value, group in zip(values, groups, strict=True):
        found.setdefault(group, []).append(value.double())
    return [torch.cat(v) for v in found.values()]


def estimate_set(
    results: Sequence[Tensor],
    references: Sequence[Tensor],
    groups: Sequence[str],
    distance: Callable[[Tensor, Tensor], float],
    resamples: int,
    seed: int,
) -> Estimate:
    """A distance of two sets, whole. The interval is that of resampled clips, shifted so that its mean is the value.

    Clips drawn twice make the distance of finite sets too large; the shift takes that bias out, the spread stays. A reference that several
    cases share (the portrait of a cross-identity pair) is given as an equal tensor and counts once a set. NaN for fewer than two references.
    """
    names = list(dict.fromkeys(groups))
    members = {name: [i for i, g in enumerate(groups) if g == name] for name in names}

    def of(cases: list[int]) -> float:
        kept = _distinct([references[i] for i in cases])
        return distance(torch.cat([results[i] for i in cases]), kept) if len(kept) > 1 else math.nan

    value = of(list(range(len(results))))
    draws = _draws(len(names), min(resamples, SET_RESAMPLES), seed)
    again = torch.tensor([of([i for n in row.tolist() for i in members[names[n]]]) for row in draws], dtype=torch.float64)
    again = again[~again.isnan()]  # few clips: a draw may hold one portrait only, which is no set
    low, high = _percentiles(again - again.mean() + value) if len(again) else (value, value)
    return Estimate(value, max(0.0, low), high, sum(len(r) for r in results), 0, len(names))


def _distinct(references: list[Tensor]) -> Tensor:
    """References joined; single rows, which are portraits, once each."""
    kept: list[Tensor] = []
    for reference in references:
        if len(reference) > 1 or not any(len(k) == 1 and torch.equal(k, reference) for k in kept):
            kept.append(reference)
    return torch.cat(kept)


def _draws(count: int, resamples: int, seed: int) -> Tensor:
    return torch.randint(count, (resamples, count), generator=torch.Generator().manual_seed(seed))


def _percentiles(drawn: Tensor) -> tuple[float, float]:
    if not bool(drawn.isfinite().all()):
        return float(drawn.min()), float(drawn.max())
    edges = drawn.double().quantile(torch.tensor([(1 - LEVEL) / 2, (1 + LEVEL) / 2], dtype=torch.float64))
    return float(edges[0]), float(edges[1])
