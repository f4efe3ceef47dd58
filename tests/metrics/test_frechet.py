"""The Frechet distance against known answers and scipy's matrix root."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor

from mmfa_components.errors import RecordError
from mmfa_components.metrics.frechet import frechet_distance


def gaussian(mean: list[float], deviation: list[float], count: int = 50, seed: int = 1) -> Tensor:
    """Samples whose mean and (diagonal) covariance are exactly as given."""
    x = torch.randn(count, len(mean), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = x - x.mean(0)
    root = torch.linalg.cholesky(x.T @ x / (count - 1))
    white = torch.linalg.solve_triangular(root, x.T, upper=False).T
    return white * torch.tensor(deviation) + torch.tensor(mean)


def test_gaussians_with_a_known_answer() -> None:
    first, second = gaussian([1.0, 2.0, 0.0], [1.0, 2.0, 3.0]), gaussian([1.0, 0.0, 0.5], [3.0, 2.0, 0.5], 80, 2)
    wanted = (0 + 4 + 0.25) + (1 - 3) ** 2 + (2 - 2) ** 2 + (3 - 0.5) ** 2  # |mu|^2 + sum (s1 - s2)^2 for diagonal covariances
    assert frechet_distance(first, second) == pytest.approx(wanted, rel=1e-5)
    assert frechet_distance(second, first) == pytest.approx(wanted, rel=1e-5)


def test_equal_sets_are_at_no_distance_and_a_shift_counts_squared() -> None:
    features = torch.randn(30, 64, generator=torch.Generator().manual_seed(0))
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(features, features.flip(0)) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(features, features + 0.5) == pytest.approx(64 * 0.25, rel=1e-5)


@pytest.mark.parametrize(("n", "m", "d"), [(200, 150, 12), (9, 200, 12), (8, 7, 12)])  # full rank, one singular, both singular
def test_agrees_with_the_textbook_formula(n: int, m: int, d: int) -> None:
    generator = torch.Generator().manual_seed(4)
    mix = torch.randn(d, d, generator=generator)
    first = (torch.randn(n, d, generator=generator) @ mix).numpy().astype(np.float64)
    second = (torch.randn(m, d, generator=generator) * torch.linspace(0.5, 2, d)).numpy().astype(np.float64) + 0.3
    s1, s2 = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = sqrtm(s1 @ s2 + 1e-12 * np.eye(d))
    wanted = ((first.mean(0) - second.mean(0)) ** 2).sum() + np.trace(s1 + s2 - 2 * root.real)
    assert frechet_distance(torch.from_numpy(first), torch.from_numpy(second)) == pytest.approx(wanted, rel=1e-3)


def test_sets_that_cannot_be_compared() -> None:
    with pytest.raises(RecordError, match="at least two images"):
        frechet_distance(torch.zeros(1, 4), torch.zeros(5, 4))
    with pytest.raises(RecordError, match="expected features"):
        frechet_distance(torch.zeros(3, 4), torch.zeros(3, 5))
