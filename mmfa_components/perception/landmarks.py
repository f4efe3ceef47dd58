"""Face-mesh landmarks of face regions, batched and differentiable in the image."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mmfa_components.geometry.procrustes import procrustes
from mmfa_components.geometry.squares import crop_squares, from_crop, square_of_landmarks
from mmfa_components.records import FaceRegions, Frames, Landmarks, MeshLandmarks, Rotation

SIDE = 256  # of the network's input, pixels
REGION_RATIO = 2 / 3  # the region is 1.5 times the landmarks' box


class LandmarkDetector:
    """Frames (N, 3, H, W), FaceRegions (N, 4) -> MeshLandmarks (N, 478, 3) in pixels of the frames.

    network: (N, 3, 256, 256) in [0, 1] -> [points (N, 1434, ...), presence logit (N, 1, ...)].
    refine: how often the region is taken anew from the points just found; steadies faces whose first region was poor.
    """

    def __init__(self, network: Callable[[Tensor], list[Tensor]], refine: int = 1) -> None:
        self.network, self.refine = network, refine

    def region_points(self, region: Tensor) -> Tensor:
        """Points (N, 478, 3) in pixels of face regions (N, 3, 256, 256) in [0, 1]. Differentiable."""
        return self.network(region)[0].reshape(len(region), 478, 3)

    def __call__(self, frames: Frames, regions: FaceRegions) -> MeshLandmarks:
        """Find the landmarks of one face per image."""
        rgb, squares = frames.rgb.float(), regions.squares.to(frames.rgb)
        points, presence = self._look(rgb, squares)
        for _ in range(self.refine):
            points, presence = self._look(rgb, square_of_landmarks(points, REGION_RATIO).detach())
        return MeshLandmarks(points, presence)

    def _look(self, rgb: Tensor, squares: Tensor) -> tuple[Tensor, Tensor]:
        points, logit = self.network(crop_squares(rgb, squares, SIDE))
        return from_crop(points.reshape(len(rgb), 478, 3), squares, SIDE), torch.sigmoid(logit.reshape(len(rgb)))


class LandmarkRotation:
    """MeshLandmarks (N, 478, 3) -> Rotation: the canonical face (468, 3) fitted to the points by weighted orthogonal Procrustes."""

    def __init__(self, canonical: Tensor, weights: Tensor) -> None:
        used = weights.nonzero().flatten()
        self.used, self.canonical, self.weights = used, canonical[used], weights[used]

    def __call__(self, landmarks: Landmarks) -> Rotation:
        """Solve for the head rotation."""
        return Rotation(self.solve(landmarks)[0])

    def solve(self, landmarks: Landmarks) -> tuple[Tensor, Tensor, Tensor]:
        """Rotation (N, 3, 3), scale (N,) in pixels per unit of the canonical face, translation (N, 3) in pixels, z to the viewer."""
        flipped = landmarks.points[:, self.used].float() * torch.tensor([1.0, 1.0, -1.0], device=landmarks.device)  # z to the viewer
        return procrustes(self.canonical, flipped, self.weights)

    def frontal(self, landmarks: Landmarks, solved: tuple[Tensor, Tensor, Tensor] | None = None) -> Tensor:
        """All points (N, P, 3) without the head's pose: R^T (p - t) / s, z to the viewer, in the canonical face's units (about centimetres).

        solved: what ``solve`` gave for these landmarks, where it is known already.
        """
        rotation, scale, translation = solved or self.solve(landmarks)
        flipped = landmarks.points.float() * torch.tensor([1.0, 1.0, -1.0], device=landmarks.device)
        centred = (flipped - translation[:, None]) / scale[:, None, None]
        return torch.einsum("npj,nji->npi", centred, rotation)  # rows times R is R^T p
