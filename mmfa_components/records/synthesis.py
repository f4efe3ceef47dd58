"""Records of synthesis: dense motion, rendered images, discriminator scores."""

from __future__ import annotations

import attrs
from torch import Tensor

from mmfa_components.records.base import Record, tensor


@attrs.frozen(eq=False)
class DenseMotion(Record):
    """Dense backward motion from the driven frame to the source (eq. 2), where the source shows nothing, and more for the generator.

    flow: (N, D, H, W, 3) float, sampling positions x, y, z in [-1, 1] of the source volume.
    occlusion: (N, 1, H, W) float in [0, 1]; 1 = visible in the source.
    hint: (N, M, H, W) float, features of the motion that a warp cannot show; M may be 0.
    surface: (N, 3, H, W) float, motion of what is seen: x, y in [-1, 1] of the source image, and trust in [0, 1]; or (N, 0, H, W), unknown.
    """

    flow: Tensor = tensor("N", "D", "H", "W", 3)
    occlusion: Tensor = tensor("N", 1, "H", "W")
    hint: Tensor = tensor("N", "M", "H", "W")
    surface: Tensor = tensor("N", "S", "H", "W")


@attrs.frozen(eq=False)
class Rendering(Record):
    """The generator's images, coarse to fine (paper A.1).

    image64: (N, 3, h, w), image128: (N, 3, m, n), image: (N, 3, H, W), all float in [0, 1].
    """

    image64: Tensor = tensor("N", 3, "h", "w")
    image128: Tensor = tensor("N", 3, "m", "n")
    image: Tensor = tensor("N", 3, "H", "W")


@attrs.frozen(eq=False)
class Scores(Record):
    """Patch scores of a discriminator: (N, 1, h, w) float, unbounded logits; LSGAN's target for real images is 1."""

    scores: Tensor = tensor("N", 1, "h", "w")
