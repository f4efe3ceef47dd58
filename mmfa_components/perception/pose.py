"""Head pose of images as six plain numbers, from the canonical face fitted to the landmarks."""

from __future__ import annotations

import torch
from torch import Tensor

from mmfa_components.geometry.rotations import matrix_to_euler
from mmfa_components.perception.faces import FaceReader
from mmfa_components.perception.landmarks import LandmarkRotation
from mmfa_components.records import Frames, MeshLandmarks

POSE = ("yaw", "pitch", "roll", "x", "y", "log scale")


class MeshPose:
    """Frames (N, 3, H, W) -> pose (N, 6) in the order of POSE, NaN where no face is seen.

    The canonical face is fitted to the mesh landmarks by a similarity, s R c + t (weighted Procrustes). yaw, pitch, roll in radians
    (signs of ``geometry.rotations``); x, y: t in units of half the image's side from its middle, right and down, where t is the place
    of the canonical face's origin, inside the head; log scale: logarithm of s, of which only differences mean something.
    """

    def __init__(self, read: FaceReader, fit: LandmarkRotation) -> None:
        self.read, self.fit = read, fit

    def __call__(self, frames: Frames) -> Tensor:
        """Measure the pose of each image."""
        points, found = self.read(frames)
        return self.of_points(points, found, frames.rgb.shape[-1])

    def of_points(self, points: Tensor, found: Tensor, side: int) -> Tensor:
        """The same from landmarks that are known already: points (N, 478, 3) in pixels, found (N,), side of the images in pixels."""
        pose = points.new_full((len(found), len(POSE)), torch.nan)
        if not bool(found.any()):
            return pose
        seen = points[found].float()
        rotation, scale, translation = self.fit.solve(MeshLandmarks(seen, seen.new_ones(len(seen))))
        place = (translation[:, :2] - side / 2) / (side / 2)
        pose[found] = torch.cat([torch.stack(matrix_to_euler(rotation), 1), place, (scale / side).log()[:, None]], 1)
        return pose

    def frontal(self, points: Tensor) -> Tensor:
        """Landmarks (N, 478, 3) without the head's pose: R^T (p - t) / s, in the canonical face's units (about centimetres)."""
        return self.fit.frontal(MeshLandmarks(points, points.new_ones(len(points))))
