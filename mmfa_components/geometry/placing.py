"""Motions seen through one square of a picture, told as another square would see them (eq. 5)."""

from __future__ import annotations

import attrs
import torch
from torch import Tensor

from mmfa_components.errors import RecordError
from mmfa_components.records import Motion, Record


def placed(motion: Record, seen: Tensor, told: Tensor) -> Record:
    """The motion of a head seen through the squares ``seen``, as the squares ``told`` would see it.

    Composition is equivariant to similarities of the image (eq. 5), so this is exact: scale and
    translation change, rotation and expression do not. Rows whose squares are equal stay as they
    are, bit for bit.

    Args:
        motion: N rows, in units of half the side of ``seen``.
        seen, told: (N, 4) upright squares in pixels.

    Returns:
        N rows, in units of half the side of ``told``.

    Raises:
        RecordError: for a motion that is none of a head where the squares differ.
    """
    same = (seen == told).all(1)
    if bool(same.all()):
        return motion
    if not isinstance(motion, Motion):
        raise RecordError(f"a {type(motion).__name__} cannot be told in another square", where="placed")
    seen, told = seen.to(motion.scale), told.to(motion.scale)
    same = same.to(motion.scale.device)
    factor = seen[:, 2] / told[:, 2]
    shift = 2 * (seen[:, :2] - told[:, :2]) / told[:, 2:3]
    moved = motion.translation * factor[:, None] + torch.cat([shift, torch.zeros_like(shift[:, :1])], 1)
    return attrs.evolve(
        motion,
        scale=torch.where(same, motion.scale, motion.scale * factor),
        translation=torch.where(same[:, None], motion.translation, moved),
    )
