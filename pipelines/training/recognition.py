"""Aligned faces for the recognition loss, by landmarks that training has anyway."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from torch import Tensor

from mmfa_components.geometry.squares import crop_squares
from mmfa_components.losses.guide import GUIDE
from plugins.packaged.sface import FIVE, SIDE, squares_by_template

SEEN = tuple(point for point, mesh in enumerate(FIVE) if mesh[0] in GUIDE)
"""Which of SFace's five points the guide's landmarks hold: pupils and mouth corners, all but the tip of the nose."""
PLACES = tuple(GUIDE.index(FIVE[point][0]) for point in SEEN)


@attrs.frozen(eq=False)
class Recogniser:
    """Who a picture shows. embed: aligned faces (N, 3, 112, 112) in [0, 1] -> unit vectors (N, E), differentiable in the image."""

    embed: Callable[[Tensor], Tensor]

    @staticmethod
    def align(image: Tensor, guide: Tensor) -> Tensor:
        """Faces (N, 3, 112, 112) of images (N, 3, S, S), turned, scaled and shifted as the network knows them.

        guide: (N, G, 2) landmarks of losses.guide in [-1, 1] over the image. The tip of the nose, which is not among them, is done without.
        """
        points = (guide[:, list(PLACES)].float() + 1) * (image.shape[-1] / 2)
        return crop_squares(image.float(), squares_by_template(points, SEEN), SIDE)
