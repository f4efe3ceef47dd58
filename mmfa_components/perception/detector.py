"""Face detection with a BlazeFace-like network: anchors, decoding, weighted non-maximum suppression."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from mmfa_components.geometry.grid import grid_points
from mmfa_components.geometry.squares import crop_squares, from_crop
from mmfa_components.records import FaceDetections, Frames

SIDE = 128  # of the network's input, pixels
ANCHORS = ((16, 2), (8, 6))  # cells a side, anchors a cell
SURE = 0.75  # score from which on a face needs no closer look
FINE_TILE = 500.0  # pixels: in a tile of this side a face of 100 pixels is seen
LEAST_TILE = 96.0  # pixels: smaller tiles show nothing that could be animated
INSIDE = 0.6  # share of the smaller of two boxes inside the other from which on both are one face


def anchors(device: torch.device) -> Tensor:
    """Anchor centres (896, 2) in [0, 1]."""
    parts = [((grid_points((n, n), device) + 1) / 2).view(-1, 1, 2).expand(-1, k, -1).reshape(-1, 2) for n, k in ANCHORS]
    return torch.cat(parts)


def decode(regressors: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Points and scores of every anchor.

    regressors: (N, 896, 16) offsets in pixels of the input: centre, size, six points.  scores: (N, 896, 1) logits.

    Returns (N, 896, 8, 2) in pixels of the input (low corner, high corner, six points), and (N, 896) in [0, 1].
    """
    centre = anchors(regressors.device) * SIDE  # (896, 2)
    middle, size = regressors[..., :2] + centre, regressors[..., 2:4]
    points = regressors[..., 4:].reshape(*regressors.shape[:2], 6, 2) + centre[:, None]
    corners = torch.stack([middle - size / 2, middle + size / 2], -2)
    return torch.cat([corners, points], -2), scores[..., 0].clamp(-100, 100).sigmoid()


def overlap(box: Tensor, boxes: Tensor) -> Tensor:
    """Intersection over union (M,) of one box (4,) with boxes (M, 4)."""
    low, high = torch.maximum(box[:2], boxes[:, :2]), torch.minimum(box[2:], boxes[:, 2:])
    shared = (high - low).clamp_min(0).prod(1)
    area = (boxes[:, 2:] - boxes[:, :2]).clamp_min(0).prod(1)
    return shared / ((box[2:] - box[:2]).clamp_min(0).prod() + area - shared).clamp_min(1e-9)


def weighted_suppression(points: Tensor, scores: Tensor, threshold: float = 0.3) -> tuple[Tensor, Tensor]:
    """Merge overlapping candidates of one image into their score-weighted mean, best first.

    points: (M, 8, 2) as from :func:`decode`.  scores: (M,).  Returns the same for the faces that remain.
    """
    kept_points, kept_scores = [], []
    order = scores.argsort(descending=True)
    points, scores = points[order], scores[order]
    while len(points):
        boxes = points[:, :2].flatten(1)
        same = overlap(boxes[0], boxes) > threshold
        same[0] = True
        weight = scores[same][:, None, None]
        kept_points.append((weight * points[same]).sum(0) / weight.sum())
        kept_scores.append(scores[0])
        points, scores = points[~same], scores[~same]
    if not kept_points:
        return points, scores
    return torch.stack(kept_points), torch.stack(kept_scores)


def tiles(height: int, width: int, side: float | None = None) -> Tensor:
    """Overlapping squares (T, 4) that cover an image.

    side: of the squares in pixels; without it three fifths of the image's shorter side, at least a third of the longer one.
    """
    side = side or _coarsest(height, width)
    steps = [max(0, math.ceil((n - side) / (0.5 * side) - 1e-6)) + 1 for n in (height, width)]  # half of each overlaps
    rows = [torch.linspace(side / 2, n - side / 2, k) if k > 1 else torch.tensor([n / 2]) for n, k in zip((height, width), steps, strict=True)]
    y, x = torch.meshgrid(*rows, indexing="ij")
    flat = torch.stack([x.flatten(), y.flatten()], 1)
    return torch.cat([flat, torch.tensor([[side, 0.0]]).expand(len(flat), 2)], 1)


def tile_sides(height: int, width: int) -> list[float]:
    """Sides of the tiles of an image, coarse to fine, each half the one before.

    The network sees a face whose box is a sixth to seven tenths of the square it looks at. The last
    tiles are small enough for faces of 100 pixels and for those of a tenth of the image's height.
    """
    sides = [_coarsest(height, width)]
    while sides[-1] > max(LEAST_TILE, min(FINE_TILE, height / 2)):
        sides.append(max(LEAST_TILE, sides[-1] / 2))
    return sides


def _coarsest(height: int, width: int) -> float:
    return max(0.6 * min(height, width), max(height, width) / 3)


def merged(points: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Faces of one image seen through several squares: one of each, best first; parts of a face are left out.

    points: (M, 8, 2) as from :func:`decode`.  scores: (M,).
    """
    points, scores = weighted_suppression(points, scores)
    kept: list[int] = []
    boxes = points[:, :2].flatten(1)
    area = (boxes[:, 2:] - boxes[:, :2]).clamp_min(0).prod(1)
    for row in range(len(boxes)):
        better = boxes[kept]
        low, high = torch.maximum(boxes[row, :2], better[:, :2]), torch.minimum(boxes[row, 2:], better[:, 2:])
        shared = (high - low).clamp_min(0).prod(1)
        if not bool((shared > INSIDE * torch.minimum(area[row], area[kept])).any()):
            kept.append(row)
    return points[kept], scores[kept]


class FaceDetector:
    """Frames (N, 3, H, W) -> FaceDetections.

    Looks at whole images, and at ever smaller tiles of those that show no face, or none for sure: a
    face that is small in the picture is seen weakly in the whole and well in a tile.

    network: (N, 3, 128, 128) in [-1, 1] -> [regressors, logits].
    """

    def __init__(self, network: Callable[[Tensor], list[Tensor]], min_score: float = 0.5, tiled: bool = True) -> None:
        self.network, self.min_score, self.tiled = network, min_score, tiled

    def __call__(self, frames: Frames) -> FaceDetections:
        """Detect all faces; best score first within one image."""
        return self._detect(frames, fine=True)

    def glance(self, frames: Frames) -> FaceDetections:
        """As a call, but without the smallest tiles, which cost much where there is no face: for clips, frame by frame."""
        return self._detect(frames, fine=False)

    @property
    def sure(self) -> float:
        """Score from which on a face needs no closer look."""
        return max(SURE, (1 + self.min_score) / 2)

    def _detect(self, frames: Frames, fine: bool) -> FaceDetections:
        rgb = frames.rgb.float()
        count, _, height, width = rgb.shape
        whole = torch.tensor([[width / 2, height / 2, float(max(height, width)), 0.0]], device=rgb.device)
        found = self._look(rgb, whole)
        sides = tile_sides(height, width) if self.tiled else []
        for side in sides if fine else sides[:1]:
            again = [i for i in range(count) if not bool((found[i][1] >= self.sure).any())]
            if not again:
                break
            for row, seen in zip(again, self._look(rgb[again], tiles(height, width, side).to(rgb)), strict=True):
                found[row] = merged(*(torch.cat(pair) for pair in zip(found[row], seen, strict=True)))
        image = torch.tensor([i for i, (_, s) in enumerate(found) for _ in range(len(s))], dtype=torch.long)
        points = torch.cat([torch.zeros(0, 8, 2), *(p for p, _ in found)])
        scores = torch.cat([torch.zeros(0), *(s for _, s in found)])
        return FaceDetections(image, points[:, :2].flatten(1), scores, points[:, 2:]).to(rgb.device)

    def _look(self, rgb: Tensor, squares: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Faces of every image, seen through the same squares (S, 4), on the CPU: few numbers in many small steps would keep a GPU waiting."""
        images, points, scores = [], [], []
        for square in squares:
            regressors, logits = self.network(crop_squares(rgb, square.expand(len(rgb), 4), SIDE) * 2 - 1)
            seen, sure = decode(regressors.float(), logits.float())
            good = sure >= self.min_score
            back = from_crop(seen[good].flatten(0, 1)[None], square[None], SIDE)[0].view(-1, 8, 2)
            images.append(good.nonzero()[:, 0])
            points.append(back)
            scores.append(sure[good])
        image, corners, score = torch.cat(images).cpu(), torch.cat(points).cpu(), torch.cat(scores).cpu()
        return [weighted_suppression(corners[image == i], score[image == i]) for i in range(len(rgb))]
