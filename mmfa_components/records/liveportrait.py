"""What a motion template of LivePortrait holds, so that nothing of it is lost."""

from __future__ import annotations

import attrs
from torch import Tensor

from mmfa_components.records.base import Record, tensor
from mmfa_components.records.laws import MULTIPLIED, TURNED


@attrs.frozen(eq=False)
class LivePortraitTemplate(Record):
    """The numbers of a motion template as LivePortrait wrote them: ``x = scale (kp R + exp) + t`` with points as rows.

    matrix: (N, 3, 3) float, its R; of points as columns its transpose is the rotation.  scale: (N,) float.  t: (N, 3) float.
    exp: (N, K, 3) float, deformation after the rotation.  kp: (N, J, 3) float, canonical keypoints (J = 0: not in the template).
    x_s: (N, L, 3) float, posed keypoints (L = 0: not in the template).  eyes: (N, A) float, closing ratios of the eyes.
    lip: (N, B) float, closing ratio of the lips.
    """

    matrix: Tensor = tensor("N", 3, 3, law=TURNED)
    scale: Tensor = tensor("N", law=MULTIPLIED)
    t: Tensor = tensor("N", 3)
    exp: Tensor = tensor("N", "K", 3)
    kp: Tensor = tensor("N", "J", 3)
    x_s: Tensor = tensor("N", "L", 3)
    eyes: Tensor = tensor("N", "A")
    lip: Tensor = tensor("N", "B")
