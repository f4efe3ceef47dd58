"""Stage crop: one stable square for a whole clip, and the crops themselves."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from mmfa_components.geometry.squares import crop_squares, to_crop
from mmfa_components.records import FaceTrack, Frames, Landmarks
from pipelines.stages.frames import chunk_length, to_float

MARGIN = 0.04
"""Least distance of the face from the border of the crop, as a share of the side, when the head travels far."""

RISE = 0.034
"""How far above the middle of the face the crop's centre lies, as a share of the side: room for hair, as in the training data."""


CONTOUR = 68
"""Landmarks of the kind that ends at the brows."""

SOFT = 0.06
"""How far outside of the picture its filled-in surroundings are wholly soft, as a share of the side."""

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
    return _square(boxes, ratio)[0]


def resting_square(boxes: Tensor, ratio: float) -> Tensor | None:
    """As :func:`stable_square` where it need not be enlarged; None where the head travels farther than the square reaches."""
    square, enlarged = _square(boxes, ratio)
    return None if enlarged else square


def _square(boxes: Tensor, ratio: float) -> tuple[Tensor, bool]:
    low = boxes[:, :2].quantile(0.01, dim=0)  # (2,)
    high = boxes[:, 2:].quantile(0.99, dim=0)
    usual = (boxes[:, 3] - boxes[:, 1]).median() / ratio
    side = torch.maximum(usual, (high - low).max() / (1 - 2 * MARGIN))
    centre = ((boxes[:, :2] + boxes[:, 2:]) / 2).median(dim=0).values - side * boxes.new_tensor([0.0, RISE])
    reach = side * (0.5 - MARGIN)
    centre = torch.minimum(torch.maximum(centre, high - reach), low + reach)
    return torch.stack([centre[0], centre[1], side, torch.zeros_like(side)]), bool(side > usual)


def crop_frames(rgb: Tensor, squares: Tensor, size: int, device: torch.device, fill: bool = False) -> Frames:
    """Crops (n, 3, size, size) of full frames (n, H, W, 3) uint8; few large frames are held as float at a time.

    squares: (4,) for all frames, or (n, 4). What comes out for a frame does not depend on those that come along.
    fill: what lies outside of the picture is made up of what is near its border, mirrored and ever softer, instead of repeating the
    border's pixels in streaks.
    """
    length = chunk_length(len(rgb), rgb.shape[2], rgb.shape[1])
    squares = squares.to(device).expand(len(rgb), 4)
    cut = _filled_crops if fill else _crops
    parts = [cut(to_float(part, device), rows, size) for part, rows in zip(rgb.split(length), squares.split(length), strict=True)]
    return Frames(torch.cat(parts).clamp(0, 1))


def _crops(rgb: Tensor, squares: Tensor, size: int, padding: str = "border") -> Tensor:
    """crop_squares, which averages as many samples as the largest square asks for, for each size of square by itself."""
    samples = (squares[:, 2] / size - 0.01).ceil()
    if bool((samples == samples[:1]).all()):
        return crop_squares(rgb, squares, size, padding)
    return torch.cat([crop_squares(rgb[i : i + 1], squares[i : i + 1], size, padding) for i in range(len(rgb))])


def _filled_crops(rgb: Tensor, squares: Tensor, size: int) -> Tensor:
    height, width = rgb.shape[-2:]
    corner, side = squares[:, :2] - squares[:, 2:3] / 2, squares[:, 2]
    places = (torch.arange(size, device=rgb.device) + 0.5) / size * side[:, None]  # (n, size)
    out = [(at - extent).clamp_min(0) + (-at).clamp_min(0) for at, extent in ((places + corner[:, :1], width), (places + corner[:, 1:2], height))]
    beyond = torch.maximum(out[0][:, None, :], out[1][:, :, None]) / side[:, None, None]  # (n, size, size), shares of the side
    if not bool((beyond > 0).any()):
        return _crops(rgb, squares, size)
    mirrored = _crops(rgb, squares, size, "reflection")
    weight = (beyond / SOFT).clamp(max=1)
    weight = (weight * weight * (3 - 2 * weight))[:, None]
    return torch.lerp(mirrored, _blurred(mirrored, size / 16), weight)


def _blurred(rgb: Tensor, sigma: float) -> Tensor:
    reach = round(3 * sigma)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=rgb.device) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1).expand(rgb.shape[1], 1, 1, -1)
    for weights, sides in ((kernel, (reach, reach, 0, 0)), (kernel.transpose(2, 3), (0, 0, reach, reach))):
        padded = functional.pad(rgb, sides, mode="replicate")
        rgb = functional.conv2d(padded, weights.to(rgb), groups=rgb.shape[1])
    return rgb


def crop_landmarks(track: FaceTrack, squares: Tensor, size: int, device: torch.device) -> Landmarks:
    """The landmarks of a track in pixels of its crops. squares: (4,) or one a frame (n, 4)."""
    points = to_crop(track.points, squares.expand(len(track), 4), size)
    return Landmarks(points.to(device), track.presence.to(device))
