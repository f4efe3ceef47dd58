"""The motion of this animator: a few points of the face, and how the picture around each is turned and stretched."""

from __future__ import annotations

import attrs
from torch import Tensor

from mmfa_components.records import LINEAR, MotionKind, Record, Term, tensor


@attrs.frozen(eq=False)
class PointMotion(Record):
    """Points of a face with the local frame of the picture around them.

    points: (N, K, 2) float, in [-1, 1] over the crop.  jacobians: (N, K, 2, 2) float, invertible.
    """

    points: Tensor = tensor("N", "K", 2)
    jacobians: Tensor = tensor("N", "K", 2, 2, law=LINEAR)


KIND = MotionKind(PointMotion, smooth=("points", "jacobians"), reference=(Term("points"),))
