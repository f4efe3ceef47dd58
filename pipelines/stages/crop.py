"""Stage crop: one stable square for a whole clip, and the crops themselves."""

from __future__ import annotations

import torch
from torch import Tensor

from mmfa_components.geometry.squares import crop_squares, to_crop
from mmfa_components.records import FaceTrack, Frames, Landmarks
from pipelines.stages.frames import chunk_length, to_float

MARGIN = 0.04
"""Least distance of the face from the border of the crop, as a share of the side, when the head travels far."""

RISE = 0.034
"""How far above the middle of the face the crop's centre lies, as a share of the side: room for hair, as in the training data."""


CONTOUR = 68
"""Landmarks of the kind that ends at the brows."""

FOREHEAD = 0.21
"""What the 68 contour landmarks lack above the brows, as a share of their height: the median over 150 portraits with the mesh's points."""


def face_boxes(track: FaceTrack) -> Tensor:
    """Boxes (M, 4) x0, y0, x1, y1 from forehead to chin, of the frames where the face was found."""
    points = track.points[track.found][..., :2]
    low, high = points.amin(dim=1), points.amax(dim=1)
    if points.shape[1] == CONTOUR:
        low = low - torch.stack([torch.zeros_like(low[:, 0]), FOREHEAD * (high - low)[:, 1]], dim=1)
    return torch.cat([low, high], dim=1)


def stable_square(boxes: Tensor, ratio: float) -> Tensor:
    """The one crop square (4,) of a clip, upright, from the face boxes (M, 4) of its frames, M >= 1.

    Its side is the median face height over ``ratio`` and its centre the median centre, so it follows no jitter and the head does
    not seem to breathe. When the head travels farther than that, the square is moved and enlarged until the face stays inside in
    at least 98 of 100 frames.
    """
    low = boxes[:, :2].quantile(0.01, dim=0)  # (2,)
    high = boxes[:, 2:].quantile(0.99, dim=0)
    side = (boxes[:, 3] - boxes[:, 1]).median() / ratio
    side = torch.maximum(side, (high - low).max() / (1 - 2 * MARGIN))
    centre = ((boxes[:, :2] + boxes[:, 2:]) / 2).median(dim=0).values - side * boxes.new_tensor([0.0, RISE])
    reach = side * (0.5 - MARGIN)
    centre = torch.minimum(torch.maximum(centre, high - reach), low + reach)
    return torch.stack([centre[0], centre[1], side, torch.zeros_like(side)])


def crop_frames(rgb: Tensor, square: Tensor, size: int, device: torch.device) -> Frames:
    """Crops (n, 3, size, size) of full frames (n, H, W, 3) uint8; few large frames are held as float at a time."""
    length = chunk_length(len(rgb), rgb.shape[2], rgb.shape[1])
    parts = [
        crop_squares(to_float(part, device), square.to(device).expand(len(part), 4), size) for part in torch.split(rgb, length)
    ]
    return Frames(torch.cat(parts).clamp(0, 1))


def crop_landmarks(track: FaceTrack, square: Tensor, size: int, device: torch.device) -> Landmarks:
    """The landmarks of a track in pixels of its crops."""
    points = to_crop(track.points, square.expand(len(track), 4), size)
    return Landmarks(points.to(device), track.presence.to(device))
