"""PSNR and SSIM against scikit-image, by hand, and as components."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from mmfa_components import records as r
from mmfa_components.errors import RecordError
from mmfa_components.metrics import psnr, ssim
from mmfa_components.registry import load_registry


def pair() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(3)
    smooth = torch.rand(3, 3, 6, 5, generator=random)
    reference = torch.nn.functional.interpolate(smooth, (48, 40), mode="bicubic").clamp(0, 1)
    noise = torch.tensor([0.02, 0.1, 0.3]).view(3, 1, 1, 1) * torch.randn(reference.shape, generator=random)
    return (reference + noise).clamp(0, 1), reference


def arrays(images: Tensor) -> list[np.ndarray]:
    return [image.permute(1, 2, 0).double().numpy() for image in images]


def test_psnr_agrees_with_scikit_image() -> None:
    results, references = pair()
    wanted = [peak_signal_noise_ratio(b, a, data_range=1.0) for a, b in zip(arrays(results), arrays(references), strict=True)]
    np.testing.assert_allclose(psnr(results, references).numpy(), wanted, atol=1e-3)


def test_psnr_by_hand() -> None:
    black = torch.zeros(2, 3, 8, 8)
    grey = torch.stack([torch.full((3, 8, 8), 0.1), torch.zeros(3, 8, 8)])
    torch.testing.assert_close(psnr(grey, black), torch.tensor([20.0, float("inf")]))


def test_ssim_agrees_with_scikit_image() -> None:
    results, references = pair()
    options = {"channel_axis": 2, "data_range": 1.0, "gaussian_weights": True, "use_sample_covariance": False, "sigma": 1.5}
    wanted = [structural_similarity(a, b, **options) for a, b in zip(arrays(results), arrays(references), strict=True)]
    np.testing.assert_allclose(ssim(results, references).numpy(), wanted, atol=1e-4)
    assert wanted[0] > wanted[1] > wanted[2]


def test_ssim_of_equal_and_opposite_images() -> None:
    _, references = pair()
    torch.testing.assert_close(ssim(references, references), torch.ones(3))
    assert bool((ssim(1 - references, references) < 0).all())


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_an_image_counts_alone_and_has_a_gradient(metric: object) -> None:
    assert callable(metric)
    results, references = pair()
    torch.testing.assert_close(metric(results, references)[1:2], metric(results[1:2], references[1:2]))
    results.requires_grad_(True)
    metric(results, references).sum().backward()
    assert results.grad is not None
    assert bool(results.grad.isfinite().all())
    better = metric((results + 1e-3 * results.grad.sign()).detach(), references)
    assert bool((better > metric(results, references)).all())


def test_shapes_are_checked() -> None:
    with pytest.raises(RecordError, match="of one shape"):
        psnr(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 9, 8))
    with pytest.raises(RecordError, match="at least 11 pixels"):
        ssim(torch.zeros(1, 3, 8, 20), torch.zeros(1, 3, 8, 20))


def test_both_are_components() -> None:
    registry = load_registry()
    results, references = pair()
    for name, function in (("psnr", psnr), ("ssim", ssim)):
        metric = registry.build("metric", name, None, registry.context("cpu"))
        torch.testing.assert_close(metric(r.Frames(results), r.Frames(references)), function(results, references))
