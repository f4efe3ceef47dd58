"""AED: how far the identity embedding of a result is from that of its reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from mmfa_components import records as r
from mmfa_components.errors import RecordError, WeightsError
from mmfa_components.kinds import Context, MetricFacts
from mmfa_components.metrics.openface import SIDE, OpenFace
from mmfa_components.torch_weights import load_state_dict_file

FIX = "give the path of openface.pth (of OpenFacePytorch, the port of nn4.small2.v1) as the option `weights`"
DEFINITION = "sum of squared differences of unit-length identity embeddings, no root (2 - 2 cos)"
BACKBONES = {
    "sface": "SFace, faces aligned by landmarks (stands in for OpenFace; not comparable with its figures; the same embedding as CSIM's)",
    "openface": "OpenFace nn4.small2 on the whole crop resized to 96x96, as FOMM's pose-evaluation does (the paper's)",
}

Embeddings = Callable[[r.Frames], tuple[Tensor, Tensor]]
"""Frames (N, 3, H, W) -> unit vectors (N, E), and which images have one (N,)."""


class AverageEuclideanDistance:
    """Results and references, Frames (N, 3, H, W) each -> squared embedding distance (N,) in [0, 4], NaN where either has no face."""

    def __init__(self, embeddings: Embeddings, backbone: str) -> None:
        self.embeddings = embeddings
        self.facts = MetricFacts("AED", DEFINITION, "0 (same embedding) to 4", BACKBONES[backbone], False, 4, "source")

    def __call__(self, results: r.Frames, references: r.Frames) -> Tensor:
        """Compare image by image. Raises RecordError when the counts differ."""
        if len(results) != len(references):
            what = f"expected as many results as references, got {len(results)} and {len(references)}"
            raise RecordError(what, where="metric.aed", fix="give one reference for every result")
        (one, seen), (other, also) = self.embeddings(results), self.embeddings(references)
        return torch.where(seen & also, (one - other).square().sum(1), torch.nan)


class WholeImageOpenFace:
    """Frames (N, 3, H, W) -> OpenFace's unit vectors (N, 128) of the whole images; every image has one."""

    def __init__(self, weights: str, context: Context) -> None:
        """Load the network. Raises WeightsError when there is no file, or one of another architecture."""
        if not weights:
            raise WeightsError("AED with OpenFace needs your weights file, none is shipped", where="metric.aed.weights", fix=FIX)
        self.network = OpenFace()
        load_state_dict_file(Path(weights).expanduser(), self.network, FIX)
        self.network.eval().to(context.device)

    def __call__(self, frames: r.Frames) -> tuple[Tensor, Tensor]:
        """Embed the images."""
        small = functional.interpolate(frames.rgb.float(), (SIDE, SIDE), mode="bilinear", antialias=True)
        vectors: Tensor = self.network(small.flip(1))  # the network was trained on BGR
        return vectors, torch.ones(len(vectors), dtype=torch.bool, device=vectors.device)


def make_aed(backbone: str, weights: str, context: Context) -> AverageEuclideanDistance:
    """Build the metric. Raises WeightsError when the backbone's file is not there."""
    if backbone == "openface":
        return AverageEuclideanDistance(WholeImageOpenFace(weights, context), backbone)
    csim = context.build("metric", "csim", None)
    return AverageEuclideanDistance(lambda frames: csim.embeddings(frames), backbone)
