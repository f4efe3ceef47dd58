"""The one face of each image that metrics look at: its landmarks, and whether there is one at all."""

from __future__ import annotations

import torch
from torch import Tensor

from mmfa_components.geometry.squares import region_of_detection
from mmfa_components.kinds import FaceDetector, LandmarkDetector
from mmfa_components.records import FaceRegions, Frames

LEAST_PRESENCE = 0.5  # of a face, said by the landmark network


class FaceReader:
    """Frames (N, 3, H, W) -> landmarks (N, P, 3) in pixels of the best-scored face of each image, and which images show one (N,).

    Rows of images without a face are NaN. Where no image shows one, P is unknown and the landmarks are (N, 0, 3).
    """

    def __init__(self, faces: FaceDetector, landmarks: LandmarkDetector) -> None:
        self.faces, self.landmarks = faces, landmarks

    def __call__(self, frames: Frames) -> tuple[Tensor, Tensor]:
        """Read the faces."""
        rgb = frames.rgb.float()
        found = torch.zeros(len(rgb), dtype=torch.bool, device=rgb.device)
        faces = self.faces(frames)
        images = faces.image.tolist()
        first = [row for row, image in enumerate(images) if image not in images[:row]]  # best score first within one image
        if not first:
            return rgb.new_zeros(len(rgb), 0, 3), found
        where = faces.image[first]
        seen = self.landmarks(Frames(rgb[where]), FaceRegions(region_of_detection(faces.points[first])))
        sure = seen.presence >= LEAST_PRESENCE
        found[where[sure]] = True
        empty = seen.points.new_full((len(rgb), *seen.points.shape[1:]), torch.nan)
        return empty.index_put((where[sure],), seen.points[sure]), found
