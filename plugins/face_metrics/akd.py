"""AKD: how far the landmarks of a result are from those of its reference."""

from __future__ import annotations

import torch
from torch import Tensor

from mmfa_components import records as r
from mmfa_components.errors import RecordError
from mmfa_components.kinds import MetricFacts
from mmfa_components.perception.contour import contour_points
from mmfa_components.perception.faces import FaceReader

SIDE = 256
STANDS_IN = "68 of {}'s points (stand in for 2DFAN4 of face-alignment; not comparable with its figures)"


class AverageKeypointDistance:
    """Results and references, Frames (N, 3, S, S) each -> mean absolute difference (N,) over 68 points and both axes, in pixels at 256.

    NaN where either image shows no face. FOMM's definition (Siarohin et al. 2019, pose-evaluation): |dx| and |dy| count alike, no root.
    """

    def __init__(self, read: FaceReader, backbone: str) -> None:
        self.read = read
        named = "2DFAN4 of face-alignment (the paper's)" if backbone == "face_alignment" else STANDS_IN.format(backbone)
        self.facts = MetricFacts(
            "AKD", "mean absolute difference of 68 face landmarks over points and both axes, in pixels of a 256x256 crop",
            "0 (same places) upwards", named, False, 3,
        )  # fmt: skip

    def __call__(self, results: r.Frames, references: r.Frames) -> Tensor:
        """Compare image by image. Raises RecordError when the counts or the sizes differ."""
        if results.rgb.shape != references.rgb.shape:
            what = f"expected results and references of one shape, got {tuple(results.rgb.shape)} and {tuple(references.rgb.shape)}"
            raise RecordError(what, where="metric.akd", fix="resize the results to the size of the references")
        (one, seen), (other, also) = self.read(results), self.read(references)
        figures = results.rgb.new_full((len(seen),), torch.nan, dtype=torch.float32)
        both = seen & also
        if bool(both.any()):
            difference = contour_points(one[both])[..., :2] - contour_points(other[both])[..., :2]
            figures[both] = difference.abs().mean((1, 2)) * (SIDE / results.rgb.shape[-1])
        return figures
