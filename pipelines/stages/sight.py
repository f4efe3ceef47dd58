"""Stage sight: all that is seen of faces in frames, small enough to decide by without the pictures."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from mmfa_components.geometry.squares import crop_squares, region_of_detection
from mmfa_components.records import FaceDetections
from pipelines.stages.associate import FrameSight

LOOK_SCALE = 5.5
"""Side of the square an appearance is taken from, over the larger of eye distance and eye-to-mouth
distance: the head with hair and collar."""
LOOK_SIDE, LOOK_SAMPLES = 8, 96
"""Cells of an appearance to a side, and samples that are averaged into them."""
SIGNATURE_SIDE = 16
"""Cells of a frame's signature to a side."""


def sights_of(rgb: Tensor, detections: FaceDetections) -> list[FrameSight]:
    """What is seen in each of the frames (n, 3, H, W), on the CPU. It does not depend on the frames that come along."""
    signatures = functional.adaptive_avg_pool2d(rgb, SIGNATURE_SIDE).permute(0, 2, 3, 1).flatten(1)
    squares = region_of_detection(detections.points, LOOK_SCALE).to(rgb)
    looks = rgb.new_zeros(len(detections), LOOK_SIDE * LOOK_SIDE * 3)
    for row, image in enumerate(detections.image.tolist()):  # one by one: in a batch of squares the largest would decide for all
        looks[row] = appearance(rgb[image : image + 1], squares[row])
    image, boxes, scores = (t.to("cpu") for t in (detections.image, detections.boxes, detections.scores))
    looks, signatures = looks.cpu(), signatures.cpu()
    return [
        FrameSight(boxes[image == k], scores[image == k], looks[image == k], signatures[k])
        for k in range(len(rgb))
    ]


def appearance(rgb: Tensor, square: Tensor) -> Tensor:
    """How a face looks, (192,) in [0, 1]: 8 x 8 cells of its colours.

    rgb: (1, 3, H, W).  square: (4,) in pixels.
    """
    patch = crop_squares(rgb, square[None], LOOK_SAMPLES)
    return functional.avg_pool2d(patch, LOOK_SAMPLES // LOOK_SIDE)[0].permute(1, 2, 0).flatten()
