"""What training learns from: crops of one face with what frozen perception says of them."""

from __future__ import annotations

import attrs
from torch import Tensor

from mmfa_components.records.base import Record, tensor
from mmfa_components.records.laws import TURNED


@attrs.frozen(eq=False)
class FaceFrames(Record):
    """The frames of one clip in which the face was seen, or one portrait, cropped by one stable square.

    rgb: (N, 3, S, S) uint8.
    rotation: (N, 3, 3) float, in SO(3), as in Rotation.
    points: (N, P, 3) float, landmarks in pixels of the crops, as in Landmarks.
    square: (N, 4) float, the crop in pixels of the file's frames, as in FaceRegions (the same row N times).
    index: (N,) int, number of the frame in its file, ascending.
    """

    rgb: Tensor = tensor("N", 3, "S", "S", dtype="uint8")
    rotation: Tensor = tensor("N", 3, 3, law=TURNED)
    points: Tensor = tensor("N", "P", 3)
    square: Tensor = tensor("N", 4)
    index: Tensor = tensor("N", dtype="int")
