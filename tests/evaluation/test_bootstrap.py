"""Means and distances with intervals over clips."""

from __future__ import annotations

import math

import pytest
import torch

from mmfa_components.metrics.frechet import frechet_distance
from pipelines.evaluation.bootstrap import estimate_mean, estimate_set


def test_every_clip_counts_once_and_missing_values_are_counted() -> None:
    values = [torch.tensor([1.0, 3.0]), torch.tensor([10.0]), torch.tensor([torch.nan, 4.0]), torch.tensor([torch.nan])]
    found = estimate_mean(values, ["a", "b", "b", "c"], 200, 0)
    assert found.value == pytest.approx((2.0 + 7.0) / 2)  # a: 2; b: 7 over both its cases; c has none
    assert (found.count, found.missing, found.clips) == (4, 2, 3)
    assert 2.0 <= found.low <= found.value <= found.high <= 7.0


def test_the_interval_is_that_of_the_mean() -> None:
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(100, generator=generator)
    found = estimate_mean([means[i : i + 1] for i in range(100)], [str(i) for i in range(100)], 4000, 1)
    error = float(means.std()) / 10
    assert found.high - found.value == pytest.approx(1.96 * error, rel=0.1)
    assert found.value - found.low == pytest.approx(1.96 * error, rel=0.1)
    assert found == estimate_mean([means[i : i + 1] for i in range(100)], [str(i) for i in range(100)], 4000, 1)


def test_one_clip_nothing_and_infinity() -> None:
    one = estimate_mean([torch.tensor([1.0, 2.0])], ["a"], 200, 0)
    assert (one.value, one.low, one.high) == (1.5, 1.5, 1.5)
    nothing = estimate_mean([torch.tensor([torch.nan])], ["a"], 200, 0)
    assert math.isnan(nothing.value)
    assert (nothing.count, nothing.missing) == (0, 1)
    endless = estimate_mean([torch.tensor([torch.inf]), torch.tensor([torch.inf])], ["a", "b"], 200, 0)
    assert endless.value == endless.high == math.inf


def test_distances_of_sets() -> None:
    generator = torch.Generator().manual_seed(0)
    results = [torch.randn(6, 4, generator=generator) for _ in range(10)]
    references = [r + 0.5 + 0.01 * i for i, r in enumerate(results)]
    found = estimate_set(results, references, [str(i) for i in range(10)], frechet_distance, 300, 0)
    assert found.value == pytest.approx(frechet_distance(torch.cat(results), torch.cat(references)))
    assert found.low < found.value < found.high
    assert (found.count, found.clips) == (60, 10)


def test_one_portrait_alone_is_no_set() -> None:
    portraits = torch.randn(2, 4, generator=torch.Generator().manual_seed(2))
    results = [torch.randn(5, 4, generator=torch.Generator().manual_seed(i)) for i in range(2)]
    pair = estimate_set(results, list(portraits.split(1)), ["a", "b"], frechet_distance, 100, 0)  # half of all draws hold one clip twice
    assert pair.low <= pair.value <= pair.high
    assert math.isnan(estimate_set(results, [portraits[:1]] * 2, ["a", "b"], frechet_distance, 100, 0).value)


def test_a_portrait_of_several_pairs_is_one_reference() -> None:
    portraits = torch.randn(3, 4, generator=torch.Generator().manual_seed(2))
    seen: list[torch.Tensor] = []

    def distance(results: torch.Tensor, references: torch.Tensor) -> float:
        seen.append(references)
        return 1.0

    estimate_set([torch.zeros(2, 4)] * 4, [portraits[i : i + 1] for i in (0, 1, 0, 2)], ["a", "b", "c", "d"], distance, 100, 0)
    torch.testing.assert_close(seen[0], portraits[[0, 1, 2]])
