"""When frames are shown."""

from __future__ import annotations

import attrs
from torch import Tensor

from mmfa_components.records.base import Record, tensor


@attrs.frozen(eq=False)
class Timestamps(Record):
    """Presentation times of a clip's frames.

    pts: (N,) int, in the clip's time base; ascending.
    """

    pts: Tensor = tensor("N", dtype="int")
