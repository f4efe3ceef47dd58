"""PSNR and SSIM: metrics of pairs of images that need no network."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from mmfa_components import records as r
from mmfa_components.hookspecs import hookimpl
from mmfa_components.kinds import ComponentSpec, Context, NoOptions
from mmfa_components.metrics import psnr, ssim


class ImageMetric:
    """Results and references, Frames (N, 3, H, W) each -> one figure per image (N,)."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.function = function

    def __call__(self, results: r.Frames, references: r.Frames) -> Tensor:
        """Compare image by image. Raises RecordError when the shapes differ."""
        return self.function(results.rgb, references.rgb)


def _psnr(options: NoOptions, context: Context) -> ImageMetric:
    return ImageMetric(psnr)


def _ssim(options: NoOptions, context: Context) -> ImageMetric:
    return ImageMetric(ssim)


@hookimpl
def mmfa_components() -> list[ComponentSpec]:
    """Both metrics; what they give is a tensor (N,), not a record."""
    pair = (r.Frames, r.Frames)
    return [
        ComponentSpec("metric", "psnr", _psnr, pair, summary="peak signal-to-noise ratio in dB, higher is better"),
        ComponentSpec("metric", "ssim", _ssim, pair, summary="structural similarity, Gaussian window, up to 1, higher is better"),
    ]
