"""How the values of a field move: what transfer, interpolation and averaging mean for it.

==========  ==================================  ========================  ==============  ===========
law         for                                 relative transfer         between two     mean
==========  ==================================  ========================  ==============  ===========
ADDED       points, offsets, codes, features    s + d - r                 linear          mean
MULTIPLIED  scales > 0                          s d / r                   geometric       geometric
TURNED      rotations, (3, 3) in SO(3)          (d r^T) s                 shortest arc    mean, on SO(3)
LINEAR      Jacobians, shapes of regions        (d r^-1) s                linear          mean
HELD        masks, ids                          s                         the first       the middle
==========  ==================================  ========================  ==============  ===========

(s source, d driving, r reference.) The functions are in ``mmfa_components/geometry/laws.py``.
"""

from __future__ import annotations

import enum


class Law(enum.Enum):
    """The law of a record's field; see the table above."""

    ADDED = "added"
    MULTIPLIED = "multiplied"
    TURNED = "turned"
    LINEAR = "linear"
    HELD = "held"


ADDED, MULTIPLIED, TURNED, LINEAR, HELD = Law
