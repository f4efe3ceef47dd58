"""A rotation estimator that turns the head less than another one says."""

from __future__ import annotations

import attrs
import torch

from mmfa_components import records as r
from mmfa_components.geometry.rotations import slerp
from mmfa_components.hookspecs import hookimpl
from mmfa_components.kinds import ComponentSpec, Context


@attrs.frozen
class DampedOptions:
    """keep: share of the rotation that is kept, 0 to 1.  of: the estimator whose rotation is damped; it must need MeshLandmarks."""

    keep: float = attrs.field(default=0.5, validator=[attrs.validators.ge(0.0), attrs.validators.le(1.0)])
    of: str = "facemesh"


class DampedRotation:
    """MeshLandmarks -> Rotation, between no rotation and the other estimator's."""

    def __init__(self, options: DampedOptions, context: Context) -> None:
        self.keep = options.keep
        self.inner = context.build("rotation_estimator", options.of, {})

    def __call__(self, landmarks: r.MeshLandmarks) -> r.Rotation:
        """Estimate and damp."""
        matrix = self.inner(landmarks).matrix
        still = torch.eye(3, dtype=matrix.dtype, device=matrix.device).expand_as(matrix)
        return r.Rotation(slerp(still, matrix, torch.full(matrix.shape[:1], self.keep, dtype=matrix.dtype, device=matrix.device)))


@hookimpl
def mmfa_components() -> list[ComponentSpec]:
    """The damped estimator."""
    return [
        ComponentSpec(
            "rotation_estimator", "damped", DampedRotation, (r.MeshLandmarks,), (r.Rotation,), DampedOptions, "1", (), "half the head's rotation"
        )
    ]
