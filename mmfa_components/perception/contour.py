"""The 68 points of the iBUG 300-W annotation among the 478 of the face mesh."""

from __future__ import annotations

from torch import Tensor

from mmfa_components.errors import RecordError

JAW = (162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389)
BROWS = (71, 63, 105, 66, 107, 336, 296, 334, 293, 301)
NOSE = (168, 197, 5, 4, 75, 97, 2, 326, 305)
EYES = (33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380)
LIPS = (61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87)
CONTOUR_OF_MESH = JAW + BROWS + NOSE + EYES + LIPS
"""Mesh indices in iBUG order: 17 jaw, 10 brows, 9 nose, 12 eyes, 20 lips. Jaw points of the mesh move with the head's turn otherwise
than annotated ones; elsewhere they lie within 3 to 7 hundredths of the eye distance of dlib's."""


def contour_points(points: Tensor) -> Tensor:
    """The 68 points (N, 68, D) of 478 mesh points (N, 478, D); 68 points stay as they are. Raises RecordError for other numbers."""
    if points.shape[1] == len(CONTOUR_OF_MESH):
        return points
    if points.shape[1] not in (468, 478):
        raise RecordError(f"68 contour or 478 mesh points are needed, got {points.shape[1]}", where="contour_points")
    return points[:, list(CONTOUR_OF_MESH)]
