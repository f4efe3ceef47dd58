"""LPIPS as a network: zero for equal images, batch, gradient, refusals. Its weights are tested in tests/packaged."""

from __future__ import annotations

import pytest
import torch

from mmfa_components.errors import RecordError
from mmfa_components.metrics.lpips import LPIPS, SMALLEST


@pytest.fixture
def network() -> LPIPS:
    torch.manual_seed(0)
    return LPIPS().eval()


def test_distance_is_zero_for_equal_symmetric_and_grows_with_noise(network: LPIPS) -> None:
    reference = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    noise = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    a, b = (reference + 0.02 * noise).clamp(0, 1), (reference + 0.3 * noise).clamp(0, 1)
    assert float(network(reference, reference)) == 0
    assert 0 < float(network(a, reference)) < float(network(b, reference))
    torch.testing.assert_close(network(b, reference), network(reference, b))


def test_by_hand_with_one_feature_that_differs() -> None:
    """With identity-like features, the distance is the head's weight times the squared difference of unit vectors."""
    network = LPIPS()
    for conv in network.convs:
        conv.weight.data.zero_()
        conv.bias.data.zero_()
    network.convs[0].bias.data[0] = 1.0
    network.convs[0].weight.data[1, :, 5, 5] = 1.0  # channel 1: the sum of the normalised colours at the pixel's centre
    white, black = torch.ones(1, 3, 64, 64), torch.zeros(1, 3, 64, 64)
    channel = ((1 - network.shift) / network.scale).sum().item()  # of white; black's is negative, so 0 after ReLU
    unit = torch.tensor([1.0, channel]) / (1 + channel**2) ** 0.5
    per_pixel = float((unit - torch.tensor([1.0, 0.0])).square().sum()) / 64
    inner = network.features(white)[0][0, 1]
    share = float((inner > 0).float().mean())  # the border's kernel centre may lie outside
    assert float(network(white, black)) == pytest.approx(per_pixel * share, rel=1e-4)


def test_an_image_counts_alone_and_has_a_gradient(network: LPIPS) -> None:
    results, references = torch.rand(2, 3, 3, 48, 40).unbind(0)
    torch.testing.assert_close(network(results, references)[1:2], network(results[1:2], references[1:2]), rtol=1e-4, atol=1e-6)
    flat = torch.zeros(1, 3, 48, 40, requires_grad=True)
    network(flat, references[:1]).sum().backward()
    assert flat.grad is not None
    assert bool(flat.grad.isfinite().all())
    assert not any(p.requires_grad for p in network.parameters())


def test_shapes_are_checked(network: LPIPS) -> None:
    with pytest.raises(RecordError, match="of one shape"):
        network(torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 63))
    with pytest.raises(RecordError, match=f"at least {SMALLEST} pixels"):
        network(torch.zeros(1, 3, SMALLEST - 1, 64), torch.zeros(1, 3, SMALLEST - 1, 64))
    assert network(torch.zeros(1, 3, SMALLEST, SMALLEST), torch.zeros(1, 3, SMALLEST, SMALLEST)).shape == (1,)
