"""Jitter of results beside the driving clip's own."""

from __future__ import annotations

import torch
from torch import Tensor


def jitter(contour: Tensor) -> Tensor:
    """Acceleration (N - 2,) of landmarks (N, 68, 2) in pixels at 256 a frame squared: mean length of the second difference over points.

    0 for a face at rest or in uniform motion. NaN where one of the three frames shows no face.
    """
    acceleration: Tensor = (contour[2:] - 2 * contour[1:-1] + contour[:-2]).norm(dim=-1).mean(-1)
    return acceleration


def breathing(pose: Tensor) -> Tensor:
    """How much the head's size wavers (N - 2,) in percent: absolute second difference of the logarithm of scale, the last of pose (N, 6)."""
    log_scale = pose[:, -1]
    return 100 * (log_scale[2:] - 2 * log_scale[1:-1] + log_scale[:-2]).abs()


def steadiness(motion: dict[str, Tensor]) -> dict[str, Tensor]:
    """``value/jitter`` and ``value/breathing`` (N - 2,) of what measure_motion gives."""
    return {"value/jitter": jitter(motion["contour"]), "value/breathing": breathing(motion["pose"])}


def ratio(result: float, driving: float) -> float:
    """Result over driving clip, NaN when the clip is perfectly still."""
    return result / driving if driving > 0 else torch.nan
