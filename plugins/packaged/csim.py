"""CSIM: whether a result still shows the same person, as the cosine of identity embeddings."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mmfa_components import records as r
from mmfa_components.errors import PluginError, RecordError
from mmfa_components.kinds import Context, FaceDetector, LandmarkDetector, MetricFacts
from mmfa_components.perception.faces import FaceReader
from plugins.packaged.mobilefacenet import MobileFaceNet
from plugins.packaged.sface import SFace, SFaceNetwork
from plugins.packaged.sources import load_fetched

DEFINITION = "cosine of the identity embeddings of the two faces, each aligned by its own landmarks"
OTHERS = "stands in for the paper's backbone, which is not named; not comparable with figures of other backbones"
BACKBONES: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "sface": (SFaceNetwork, f"SFace, 128 numbers ({OTHERS})"),
    "mobilefacenet": (MobileFaceNet, f"MobileFaceNet, 512 numbers ({OTHERS})"),
}
"""Networks by name, aligned faces (N, 3, 112, 112) -> (N, E), and what tables say of them."""


class IdentitySimilarity:
    """Results and references, Frames (N, 3, H, W) each -> cosine similarity (N,) of the identities seen, NaN where either has no face.

    The backbone stands in for that of the paper, which does not name its own. Figures of different backbones cannot be compared: name it
    beside every figure. The best-scored face of each image counts; results and references are aligned each by its own landmarks and may
    differ in size.
    """

    def __init__(self, sface: SFace, faces: FaceDetector, landmarks: LandmarkDetector, backbone: str = "sface") -> None:
        self.sface, self.read = sface, FaceReader(faces, landmarks)
        self.facts = MetricFacts("CSIM", DEFINITION, "-1 to 1 (same embedding)", BACKBONES[backbone][1], True, 3, "source")

    def __call__(self, results: r.Frames, references: r.Frames) -> Tensor:
        """Compare image by image. Raises RecordError when the counts differ."""
        if len(results.rgb) != len(references.rgb):
            what = f"expected as many results as references, got {len(results.rgb)} and {len(references.rgb)}"
            raise RecordError(what, fix="give one reference for every result")
        (one, seen), (other, also) = self.embeddings(results), self.embeddings(references)
        return torch.where(seen & also, (one * other).sum(1), torch.nan)

    def embeddings(self, frames: r.Frames) -> tuple[Tensor, Tensor]:
        """Unit vectors (N, E), zeros where no face was found, and whether one was found (N,)."""
        rgb = frames.rgb.float()
        points, found = self.read(frames)
        if not bool(found.any()):
            return rgb.new_zeros(len(rgb), 1), found
        seen = self.sface.embed(self.sface.align(rgb[found], points[found]))
        return seen.new_zeros(len(rgb), seen.shape[1]).index_put((found.nonzero().flatten(),), seen), found


def make_csim(backbone: str, face_detector: str, landmark_detector: str, context: Context) -> IdentitySimilarity:
    """Build the metric with the named detectors. Raises WeightsError, or PluginError when the landmarks are no mesh landmarks."""
    spec = context.spec("landmark_detector", landmark_detector)
    if not any(issubclass(given, r.MeshLandmarks) for given in spec.gives):
        what = f"landmark_detector {landmark_detector!r} gives no mesh landmarks"
        raise PluginError(what, where="metric.csim.landmark_detector", fix='name one that gives MeshLandmarks, as "facemesh" does')
    network = BACKBONES[backbone][0]()
    load_fetched(backbone, network, context)
    faces = context.build("face_detector", face_detector, None)
    return IdentitySimilarity(SFace(network), faces, context.build("landmark_detector", landmark_detector, None), backbone)
