"""Losses of the VAE (eq. 13): values by hand, against torch.distributions, and gradients."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from mmfa_components.losses.variational import kl_loss, reconstruction_loss


def test_reconstruction_counts_in_units_of_the_spread() -> None:
    feature, rebuilt = torch.zeros(2, 2), torch.tensor([[1.0, 10.0], [0.0, 0.0]], requires_grad=True)
    loss = reconstruction_loss(feature, rebuilt, torch.tensor([1.0, 10.0]))
    assert float(loss.detach()) == pytest.approx(0.5)
    loss.backward()
    torch.testing.assert_close(rebuilt.grad, torch.tensor([[0.5, 0.05], [0.0, 0.0]]))


def test_divergence_is_the_known_one() -> None:
    mean, log_variance = torch.randn(5, 3), torch.randn(5, 3)
    wanted = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(kl_loss(mean, log_variance), wanted)
    assert float(kl_loss(torch.zeros(2, 3), torch.zeros(2, 3))) == 0


def test_free_bits_leave_a_weak_unit_alone() -> None:
    mean = torch.tensor([[0.1, 2.0]], requires_grad=True)  # 0.005 and 2 nats
    loss = kl_loss(mean, torch.zeros(1, 2), free_bits=0.5)
    assert float(loss.detach()) == pytest.approx(2.5)
    loss.backward()
    torch.testing.assert_close(mean.grad, torch.tensor([[0.0, 2.0]]))
