"""PSNR and SSIM: metrics of pairs of images that need no network."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from mmfa_components import records as r
from mmfa_components.hookspecs import hookimpl
from mmfa_components.kinds import ComponentSpec, Context, MetricFacts, NoOptions
from mmfa_components.metrics import psnr, ssim

PSNR = MetricFacts(
    "PSNR", "-10 log10 of the mean squared error over all pixels and channels of one image, in dB", "0 to infinity (equal images)", "none", True, 2
)
SSIM = MetricFacts(
    "SSIM", "structural similarity (Wang et al. 2004), 11x11 Gaussian window of sigma 1.5, mean over pixels and channels", "-1 to 1", "none", True, 3
)


class ImageMetric:
    """Results and references, Frames (N, 3, H, W) each -> one figure per image (N,). ``facts``: what tables say of it, if it is known."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], facts: MetricFacts | None = None) -> None:
        self.function = function
        self.facts = facts

    def __call__(self, results: r.Frames, references: r.Frames) -> Tensor:
        """Compare image by image. Raises RecordError when the shapes differ."""
        return self.function(results.rgb, references.rgb)


def _psnr(options: NoOptions, context: Context) -> ImageMetric:
    return ImageMetric(psnr, PSNR)


def _ssim(options: NoOptions, context: Context) -> ImageMetric:
    return ImageMetric(ssim, SSIM)


@hookimpl
def mmfa_components() -> list[ComponentSpec]:
    """Both metrics; what they give is a tensor (N,), not a record."""
    pair = (r.Frames, r.Frames)
    return [
        ComponentSpec("metric", "psnr", _psnr, pair, summary="peak signal-to-noise ratio in dB, higher is better"),
        ComponentSpec("metric", "ssim", _ssim, pair, summary="structural similarity, Gaussian window, up to 1, higher is better"),
    ]
