"""FID: the Frechet distance of two sets of images, on features of a backbone that the options name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from attrs.validators import in_
from torch import Tensor

from mmfa_components import records as r
from mmfa_components.errors import WeightsError
from mmfa_components.hookspecs import hookimpl
from mmfa_components.kinds import ComponentSpec, Context, MetricFacts

if TYPE_CHECKING:
    from torch import nn

FIX = "give the path of pt_inception-2015-12-05-6726825d.pth (of pytorch-fid) as the option `weights`"
DEFINITION = "Frechet distance of Gaussians fitted to the features of results and references (Heusel et al. 2017); depends on the number of images"


@attrs.frozen
class FidOptions:
    """Options of FID.

    backbone: "alexnet" (fetched with LPIPS; stands in, named "FD-AlexNet" in tables) or "inception" (the official network).
    weights: your file of the official network.
    """

    backbone: str = attrs.field(default="alexnet", validator=in_(("alexnet", "inception")))
    weights: str = ""


class FrechetDistance:
    """Two sets of images -> one distance, 0 for equal sets. ``network``: images (N, 3, H, W) in [0, 1] -> features (N, D)."""

    def __init__(self, network: Callable[[Tensor], Tensor], facts: MetricFacts) -> None:
        self.network, self.facts = network, facts

    def features(self, frames: r.Frames) -> Tensor:
        """Features (N, D) of images, in float32."""
        return self.network(frames.rgb.float()).float()

    def distance(self, results: Tensor, references: Tensor) -> float:
        """Distance of two sets of features (N, D), (M, D). Raises RecordError for fewer than two images."""
        from mmfa_components.metrics.frechet import frechet_distance

        return frechet_distance(results, references)


def _fid(options: FidOptions, context: Context) -> FrechetDistance:
    definition = DEFINITION
    if options.backbone == "inception":
        backbone = "Inception v3 of 2015-12-05, the last pool's 2048 features (the paper's, official file)"
        return FrechetDistance(_inception(options.weights, context), MetricFacts("FID", definition, "0 upwards", backbone, False, 3, "source"))
    backbone = "AlexNet's last convolution averaged over the image, 256 features (stands in; not comparable with FID on Inception)"
    return FrechetDistance(_alexnet(context), MetricFacts("FD-AlexNet", definition, "0 upwards", backbone, False, 3, "source"))


def _inception(weights: str, context: Context) -> nn.Module:
    from mmfa_components.metrics.inception import FIDInception
    from mmfa_components.torch_weights import load_state_dict_file

    if not weights:
        raise WeightsError("FID on Inception needs your weights file, none is shipped", where="metric.fid.weights", fix=FIX)
    network = FIDInception()
    load_state_dict_file(Path(weights).expanduser(), network, FIX)
    return network.eval().to(context.device)


def _alexnet(context: Context) -> Callable[[Tensor], Tensor]:
    from mmfa_components.metrics.lpips import LPIPS
    from plugins.packaged.sources import load_fetched

    network = LPIPS()
    load_fetched("lpips_alex", network, context)
    return lambda rgb: network.features(rgb)[-1].mean((2, 3))


@hookimpl
def mmfa_components() -> list[ComponentSpec]:
    """One metric of sets; it gives a number, not a record."""
    summary = "Frechet distance of two sets of images: AlexNet features, or Inception's with your file"
    return [ComponentSpec("metric", "fid", _fid, (r.Frames, r.Frames), options=FidOptions, weights=("lpips_alex",), summary=summary)]
