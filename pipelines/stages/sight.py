"""Stage sight: all that is seen of faces in frames, small enough to decide by without the pictures."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import attrs
import torch
from torch import Tensor
from torch.nn import functional

from mmfa_components.geometry.squares import crop_squares, region_of_detection
from mmfa_components.kinds import FaceDetector
from mmfa_components.records import FaceDetections, Frames
from pipelines.stages.associate import FrameSight

LOOK_SCALE = 5.5
"""Side of the square an appearance is taken from, over the larger of eye distance and eye-to-mouth
distance: the head with hair and collar."""
LOOK_SIDE, LOOK_SAMPLES = 8, 96
"""Cells of an appearance to a side, and samples that are averaged into them."""
CLOSELY = 5
"""Every how many frames of a clip without a face small ones are looked for as well: on a CPU that takes half a second and more."""
SIGNATURE_SIDE = 16
"""Cells of a frame's signature to a side."""


@runtime_checkable
class Glancing(Protocol):
    """A detector that can leave out what it finds small faces by. sure: score from which on a face needs no closer look."""

    sure: float

    def __call__(self, frames: Frames) -> FaceDetections: ...
    def glance(self, frames: Frames) -> FaceDetections: ...


class Eyes:
    """Looks at the frames of a clip, in order: closely at the first one and every few, and while that finds what a glance does not."""

    def __init__(self, detector: FaceDetector) -> None:
        self.detector = detector
        self.frame = 0
        self.close = False  # the frame before showed its face only to a close look

    def __call__(self, rgb: Tensor) -> FaceDetections:
        """All faces of the next frames (n, 3, H, W), on their device. It does not depend on how a clip is cut up."""
        if not isinstance(self.detector, Glancing):
            return self.detector(Frames(rgb))
        seen = self.detector.glance(Frames(rgb))
        parts: list[FaceDetections] = []
        for number in range(len(rgb)):
            rows = (seen.image == number).nonzero().flatten()
            here = _rows(seen, rows)
            if bool((here.scores >= self.detector.sure).any()):
                self.close = False
            elif self.close or self.frame % CLOSELY == 0:
                found = self.detector(Frames(rgb[number : number + 1]))
                self.close = bool((found.scores >= self.detector.sure).any())
                here = attrs.evolve(found, image=found.image + number)
            parts.append(here)
            self.frame += 1
        return FaceDetections(*(torch.cat([getattr(p, name) for p in parts]) for name in FaceDetections.tensor_fields()))


def _rows(detections: FaceDetections, rows: Tensor) -> FaceDetections:
    return FaceDetections(*(t[rows] for t in detections.tensors().values()))


def sights_of(rgb: Tensor, detections: FaceDetections) -> list[FrameSight]:
    """What is seen in each of the frames (n, 3, H, W), on the CPU. It does not depend on the frames that come along."""
    signatures = functional.adaptive_avg_pool2d(rgb, SIGNATURE_SIDE).permute(0, 2, 3, 1).flatten(1)
    squares = region_of_detection(detections.points, LOOK_SCALE).to(rgb)
    looks = rgb.new_zeros(len(detections), LOOK_SIDE * LOOK_SIDE * 3)
    for row, image in enumerate(detections.image.tolist()):  # one by one: in a batch of squares the largest would decide for all
        looks[row] = appearance(rgb[image : image + 1], squares[row])
    image, boxes, scores = (t.to("cpu") for t in (detections.image, detections.boxes, detections.scores))
    looks, signatures = looks.cpu(), signatures.cpu()
    return [FrameSight(boxes[image == k], scores[image == k], looks[image == k], signatures[k]) for k in range(len(rgb))]


def appearance(rgb: Tensor, square: Tensor) -> Tensor:
    """How a face looks, (192,) in [0, 1]: 8 x 8 cells of its colours.

    rgb: (1, 3, H, W).  square: (4,) in pixels.
    """
    patch = crop_squares(rgb, square[None], LOOK_SAMPLES)
    return functional.avg_pool2d(patch, LOOK_SAMPLES // LOOK_SIDE)[0].permute(1, 2, 0).flatten()
