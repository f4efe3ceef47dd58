"""Metrics of pairs of images that need no network: PSNR and SSIM."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from mmfa_components.errors import RecordError

SIGMA, RADIUS = 1.5, 5  # of SSIM's Gaussian window in pixels, as in Wang et al.
K1, K2 = 0.01, 0.03


def psnr(results: Tensor, references: Tensor) -> Tensor:
    """Peak signal-to-noise ratio (N,) in dB, over all pixels and channels of each image; infinite for equal images.

    results, references: (N, C, H, W) in [0, 1], compared in float32. Differentiable where the images differ.
    Raises RecordError when the shapes differ.
    """
    _same_shape(results, references)
    error = (results.float() - references.float()).square().mean((1, 2, 3))
    return -10 * error.log10()


def ssim(results: Tensor, references: Tensor) -> Tensor:
    """Structural similarity (N,) in [-1, 1], the mean over pixels and channels (Wang et al. 2004; 11x11 Gaussian window, sigma 1.5).

    results, references: (N, C, H, W) in [0, 1], H and W at least 11. Windows that leave the image are not counted. Differentiable.
    Raises RecordError when the shapes differ or the images are smaller than the window.
    """
    _same_shape(results, references)
    if min(results.shape[-2:]) < 2 * RADIUS + 1:
        raise RecordError(f"SSIM needs images of at least {2 * RADIUS + 1} pixels a side, got {tuple(results.shape)}")
    x, y = results.flatten(0, 1)[:, None].float(), references.flatten(0, 1)[:, None].float()  # (N*C, 1, H, W)
    mean_x, mean_y = _blur(x), _blur(y)
    var_x, var_y = _blur(x * x) - mean_x.square(), _blur(y * y) - mean_y.square()
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = K1**2, K2**2
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    below = (mean_x.square() + mean_y.square() + c1) * (var_x + var_y + c2)
    return (above / below).mean((1, 2, 3)).view(results.shape[:2]).mean(1)


def _blur(image: Tensor) -> Tensor:
    offsets = torch.arange(-RADIUS, RADIUS + 1, device=image.device, dtype=image.dtype)
    window = torch.exp(-0.5 * (offsets / SIGMA).square())
    window = window / window.sum()
    return functional.conv2d(functional.conv2d(image, window.view(1, 1, 1, -1)), window.view(1, 1, -1, 1))


def _same_shape(results: Tensor, references: Tensor) -> None:
    if results.shape != references.shape or results.ndim != 4:
        what = f"expected two batches of images of one shape, got {tuple(results.shape)} and {tuple(references.shape)}"
        raise RecordError(what, fix="resize the results to the size of the references")
