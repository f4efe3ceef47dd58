"""Face detector: several faces, none, suppression, batches, sizes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mmfa_components.perception.detector import anchors, overlap, tiles, weighted_suppression
from mmfa_components.records import Frames


def candidates(*boxes: tuple[float, float, float, float]) -> Tensor:
    """Points (M, 8, 2) of boxes; the six points lie in the middle."""
    flat = torch.tensor(boxes, dtype=torch.float32).view(-1, 2, 2)
    return torch.cat([flat, flat.mean(1, keepdim=True).expand(-1, 6, 2)], 1)


def test_one_face_where_it_is(build: Any, portrait: Tensor) -> None:
    faces = build("face_detector")(Frames(portrait))
    assert len(faces) == 1
    x0, y0, x1, y1 = faces.boxes[0].tolist()
    assert x0 < 224 < x1
    assert y0 < 115 < y1
    assert 60 < x1 - x0 < 140
    right, left, nose, mouth = faces.points[0, :4].tolist()
    assert right[0] < nose[0] < left[0]  # the person's right eye is on the left of the picture
    assert max(right[1], left[1]) < nose[1] < mouth[1]


def test_several_faces_in_one_image(build: Any, head: Tensor) -> None:
    faces = build("face_detector")(Frames(torch.cat([head, head.flip(3)], 3)))  # (1, 3, 240, 480)
    assert len(faces) == 2
    assert sorted(int(x // 240) for x in faces.boxes[:, ::2].mean(1)) == [0, 1]
    assert faces.scores[0] >= faces.scores[1]


def test_no_face(build: Any) -> None:
    torch.manual_seed(0)
    pictures = torch.cat([torch.rand(1, 3, 90, 160), torch.full((1, 3, 90, 160), 0.5)])
    faces = build("face_detector")(Frames(pictures))
    assert len(faces) == 0
    assert faces.points.shape == (0, 6, 2)


def test_batch_equals_single(build: Any, head: Tensor) -> None:
    detector = build("face_detector")
    pictures = torch.cat([head, torch.full_like(head, 0.5), head.flip(3)])
    together = detector(Frames(pictures))
    assert together.image.tolist() == [0, 2]
    for image, row in ((0, 0), (2, 1)):
        alone = detector(Frames(pictures[image : image + 1]))
        assert torch.allclose(alone.boxes[0], together.boxes[row], atol=1e-3)


def test_small_face_needs_tiles(build: Any, head: Tensor) -> None:
    scene = torch.full((1, 3, 600, 600), 0.4)
    scene[..., 90:210, 390:510] = functional.interpolate(head, (120, 120), mode="bilinear", antialias=True)  # a face of 45 pixels
    assert len(build("face_detector", tiled=False)(Frames(scene))) == 0
    faces = build("face_detector")(Frames(scene))
    assert len(faces) == 1
    assert 430 < faces.boxes[0, ::2].mean() < 470


def test_suppression_merges_by_score_and_keeps_apart() -> None:
    points = candidates((0, 0, 10, 10), (2, 0, 12, 10), (50, 50, 60, 60))
    kept, scores = weighted_suppression(points, torch.tensor([0.9, 0.3, 0.95]))
    assert torch.allclose(scores, torch.tensor([0.95, 0.9]))
    assert torch.allclose(kept[0], points[2])
    assert torch.allclose(kept[1, 0], torch.tensor([2 * 0.3 / 1.2, 0.0]))  # score-weighted mean of the two


def test_overlap() -> None:
    box = torch.tensor([0.0, 0.0, 2.0, 2.0])
    others = torch.tensor([[0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 3.0, 2.0], [5.0, 5.0, 6.0, 6.0]])
    assert torch.allclose(overlap(box, others), torch.tensor([1.0, 1 / 3, 0.0]))


def test_anchors_and_tiles_cover_the_image() -> None:
    centres = anchors(torch.device("cpu"))
    assert centres.shape == (896, 2)
    assert torch.allclose(centres[:4], torch.tensor([[0.5, 0.5], [0.5, 0.5], [1.5, 0.5], [1.5, 0.5]]) / 16)
    assert torch.allclose(centres[-1], torch.tensor([7.5, 7.5]) / 8)
    for height, width in ((360, 640), (640, 360), (100, 1000), (64, 64)):
        squares = tiles(height, width)
        low, high = squares[:, :2] - squares[:, 2:3] / 2, squares[:, :2] + squares[:, 2:3] / 2
        y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        pixels = torch.stack([x.flatten(), y.flatten()], 1)
        seen = torch.zeros(len(pixels), dtype=torch.bool)
        for a, b in zip(low, high, strict=True):
            seen |= ((pixels > a) & (pixels < b)).all(1)
        assert seen.all(), (height, width)
