"""APD: how far the head pose of a result is from that of its reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from mmfa_components import records as r
from mmfa_components.errors import RecordError, WeightsError
from mmfa_components.kinds import Context, MetricFacts
from mmfa_components.perception.faces import FaceReader
from mmfa_components.perception.pose import MeshPose

FIX = "give the path of epoch_20.pth (of Deep3DFaceRecon_pytorch, ResNet-50) as the option `weights`"
FACTS = {
    "facemesh": MetricFacts(
        "APD",
        "mean absolute difference of six pose numbers: yaw, pitch, roll in radians, x and y of the head in half crop sides, logarithm of scale",
        "0 (same pose) upwards",
        "canonical face fitted to 478 face-mesh points (stands in for Deep3D's angles and translation; not comparable with its figures)",
        False, 4, "driving",
    ),
    "deep3d": MetricFacts(
        "APD", "mean absolute difference of six pose coefficients: three angles in radians, three of translation", "0 (same pose) upwards",
        "Deep3D, ResNet-50, face aligned by five landmarks of the face mesh (the paper's network)", False, 4, "driving",
    ),
}  # fmt: skip


class AveragePoseDistance:
    """Results and references, Frames (N, 3, S, S) each -> mean absolute difference of pose (N,), NaN where either shows no face.

    pose: Frames -> (N, 6), NaN where no face is seen; see the classes MeshPose and Deep3DPose.
    """

    def __init__(self, pose: Callable[[r.Frames], Tensor], backbone: str) -> None:
        self.pose, self.facts = pose, FACTS[backbone]

    def __call__(self, results: r.Frames, references: r.Frames) -> Tensor:
        """Compare image by image. Raises RecordError when the counts differ."""
        if len(results) != len(references):
            what = f"expected as many results as references, got {len(results)} and {len(references)}"
            raise RecordError(what, where="metric.apd", fix="give one reference for every result")
        return (self.pose(results) - self.pose(references)).abs().mean(1)


def make_apd(backbone: str, weights: str, read: FaceReader, context: Context) -> AveragePoseDistance:
    """Build the metric. Raises WeightsError when the backbone's file is not there."""
    if backbone == "facemesh":
        return AveragePoseDistance(MeshPose(read, context.build("rotation_estimator", "facemesh", None)), backbone)
    if not weights:
        raise WeightsError("APD with Deep3D needs your weights file, none is shipped", where="metric.apd.weights", fix=FIX)
    from plugins.face_metrics.deep3d import Deep3DPose

    return AveragePoseDistance(Deep3DPose(Path(weights).expanduser(), FIX, read, context), backbone)
