"""Records of showing a portrait's own pixels: larger than an animator's crop, and partly held still."""

from __future__ import annotations

import attrs
from torch import Tensor

from mmfa_components.records.base import Record, tensor


@attrs.frozen(eq=False)
class View(Record):
    """How a portrait is to be shown.

    rgb: (N, 3, S, S) float in [0, 1], the portrait's crop at the side of the result.
    still: (N, 2, H, W) float in [0, 1] over that crop, where the portrait stays as it is
        (geometry.holding.still_map); with (N, 0, H, W) all of it moves.
    """

    rgb: Tensor = tensor("N", 3, "S", "S")
    still: Tensor = tensor("N", "M", "H", "W")


@attrs.frozen(eq=False)
class Viewed(Record):
    """Frames made for a View.

    rgb: (N, 3, S, S) float in [0, 1].
    still: (N, 1, H, W) float in [0, 1] over the frames; 1 where they are the portrait itself.
    """

    rgb: Tensor = tensor("N", 3, "S", "S")
    still: Tensor = tensor("N", 1, "H", "W")
