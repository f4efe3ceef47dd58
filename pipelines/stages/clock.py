"""Clips with clocks of their own, joined by time."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

SAME = 1e-4
"""Seconds by which times may differ and be the same: clocks of other units round."""


def seconds_of(times: Any, frames: int, time_base: Fraction) -> Tensor:
    """When each of a clip's first ``frames`` frames is shown, (N,) float64 seconds from the first one on.

    times: stored Timestamps in units of ``time_base`` seconds.
    """
    pts = times.read(0, frames).pts[:frames]
    seconds: Tensor = (pts - pts[0]).double() * float(time_base)
    return seconds


def frames_shown(own: Tensor, at: Tensor) -> Tensor:
    """The frames (n,) of a clip that are on the screen at these times; its last one beyond its end.

    own: (N,) seconds its frames appear at, from 0 on, ascending.  at: (n,) seconds.
    """
    return (torch.searchsorted(own, at + SAME, right=True) - 1).clamp(0, len(own) - 1)
