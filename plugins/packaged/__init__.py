"""Networks whose weights are not shipped but are made from public packages at the user's wish: LPIPS, SFace, MobileFaceNet, VGG-16 features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from attrs.validators import in_

from mmfa_components import records as r
from mmfa_components.hookspecs import hookimpl
from mmfa_components.kinds import ComponentSpec, Context, MetricFacts, NoOptions
from mmfa_components.torch_weights import load_fetched
from mmfa_components.weights import WeightsFile
from plugins.packaged.sources import SOURCES, weights_path

if TYPE_CHECKING:
    from plugins.image_metrics import ImageMetric
    from plugins.packaged.csim import IdentitySimilarity


LPIPS_FACTS = MetricFacts(
    "LPIPS", "weighted squared distance of unit-length features, mean over pixels, sum over five layers (Zhang et al. 2018, version 0.1)",
    "0 (equal images) upwards, seldom above 1", "AlexNet with the published linear heads", False, 3,
)  # fmt: skip


@attrs.frozen
class CsimOptions:
    """Options of the identity similarity.

    backbone: "sface", or "mobilefacenet", which no loss of training has seen (both fetched).  face_detector, landmark_detector: components
    that find the face; mesh landmarks are needed.
    """

    backbone: str = attrs.field(default="sface", validator=in_(("sface", "mobilefacenet")))
    face_detector: str = "facemesh"
    landmark_detector: str = "facemesh"


def _lpips(options: NoOptions, context: Context) -> ImageMetric:
    from mmfa_components.metrics.lpips import LPIPS
    from plugins.image_metrics import ImageMetric

    network = LPIPS()
    load_fetched("lpips_alex", network, context)
    return ImageMetric(network, LPIPS_FACTS)


def _csim(options: CsimOptions, context: Context) -> IdentitySimilarity:
    from plugins.packaged.csim import make_csim

    return make_csim(options.backbone, options.face_detector, options.landmark_detector, context)


@hookimpl
def mmfa_components() -> list[ComponentSpec]:
    """Two metrics; what they give is a tensor (N,), not a record."""
    pair = (r.Frames, r.Frames)
    faces = ("sface", "facemesh_detector", "facemesh_landmarks")
    lpips = "LPIPS 0.1 with AlexNet, 0 for equal images, lower is better"
    csim = "cosine of identity embeddings, SFace's unless told otherwise (stands in for the paper's unnamed backbone), up to 1, higher is better"
    return [
        ComponentSpec("metric", "lpips", _lpips, pair, weights=("lpips_alex",), summary=lpips),
        ComponentSpec("metric", "csim", _csim, pair, options=CsimOptions, weights=faces, summary=csim),
    ]


@hookimpl
def mmfa_weights() -> list[WeightsFile]:
    """Files of the user's weights folder, there once they were fetched."""
    return [
        WeightsFile(name, weights_path(name), source.architecture, "", source.licence, f"not shipped: mmfa plugins fetch {name}")
        for name, source in SOURCES.items()
    ]
