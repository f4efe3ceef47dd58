"""Regions of the face: which keypoints belong to the eyes and to the mouth, and deformations mixed by region.

Keypoints are found without supervision, so none is "the mouth"; a keypoint belongs to a region as far as it lies on it in the portrait.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmfa_components.errors import RecordError
from mmfa_components.records import Deformation

EYES = (33, 133, 159, 145, 263, 362, 386, 374, 105, 66, 334, 296)
"""Face-mesh points of the eyes' corners and lids and of the brows."""
MOUTH = (61, 291, 0, 17, 13, 14, 39, 269, 181, 405)
"""Face-mesh points around the lips."""
CONTOUR_EYES, CONTOUR_MOUTH = tuple(range(17, 27)) + tuple(range(36, 48)), tuple(range(48, 68))
"""The same of the 68 contour landmarks."""
LANDMARKS = {468: (EYES, MOUTH), 478: (EYES, MOUTH), 68: (CONTOUR_EYES, CONTOUR_MOUTH)}
"""Points of eyes and mouth by the number of landmarks."""
REACH = 0.16
"""Distance from a region's points, as a share of the landmarks' height, at which a keypoint belongs to it by half."""


def keypoint_regions(points: Tensor, landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """How far keypoints (N, K, 2) belong to the eyes and to the mouth, (N, K) each in [0, 1], from landmarks (N, P, 2) in the same coordinates.

    The weight falls smoothly with the distance to the nearest point of the region (1 on it, 0.5 at REACH); where both would take a
    keypoint, they share it. P is 468 or 478 (face mesh) or 68 (contours). Raises RecordError for other landmarks.
    """
    if landmarks.shape[1] not in LANDMARKS:
        fix = "use a landmark detector that gives face-mesh points or the 68 contour points"
        raise RecordError(f"regions cannot be found with {landmarks.shape[1]} landmarks", where="keypoint_regions", fix=fix)
    height = (landmarks[..., 1].amax(1) - landmarks[..., 1].amin(1)).clamp_min(1e-6)  # (N,)
    weights = []
    for indices in LANDMARKS[landmarks.shape[1]]:
        distance = torch.cdist(points, landmarks[:, list(indices)]).amin(-1) / height[:, None]  # (N, K)
        weights.append(torch.exp2(-((distance / REACH) ** 2)))
    eyes, mouth = weights
    total = (eyes + mouth).clamp_min(1.0)
    return eyes / total, mouth / total


def blend_regions(rest: Deformation, eyes: Deformation, mouth: Deformation, weights: tuple[Tensor, Tensor]) -> Deformation:
    """Deformations (N, K, 3) mixed keypoint by keypoint: ``rest + w_eyes (eyes - rest) + w_mouth (mouth - rest)``.

    weights: of eyes and mouth, (N, K) or (1, K) each; see :func:`keypoint_regions`.
    """
    w_eyes, w_mouth = (w[..., None].to(rest.delta) for w in weights)
    return Deformation(rest.delta + w_eyes * (eyes.delta - rest.delta) + w_mouth * (mouth.delta - rest.delta))
