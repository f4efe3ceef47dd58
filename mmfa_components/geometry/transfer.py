"""Transfer of motion from a driving clip to a source, each attribute in its own way (eq. 4, 5 with parts exchanged).

Because identity lives in the canonical keypoints alone, the attributes of a motion can be exchanged one by one.
"""

from __future__ import annotations

import attrs
import torch
from torch import Tensor

from mmfa_components.errors import RecordError
from mmfa_components.geometry.rotations import geodesic_degrees
from mmfa_components.records import Motion

MODES = ("relative", "absolute", "source")


@attrs.frozen
class TransferModes:
    """Where each attribute of the result comes from: "relative", "absolute" or "source" (see :func:`transfer_motion`)."""

    rotation: str = attrs.field(default="relative", validator=attrs.validators.in_(MODES))
    scale: str = attrs.field(default="relative", validator=attrs.validators.in_(MODES))
    translation: str = attrs.field(default="relative", validator=attrs.validators.in_(MODES))
    expression: str = attrs.field(default="relative", validator=attrs.validators.in_(MODES))


def transfer_motion(source: Motion, driving: Motion, reference: Motion, modes: TransferModes) -> Motion:
    """The motion of the result, one row a driving frame.

    relative: the source's own, changed as the driving clip changes from its reference frame: ``R = R_d R_ref^T R_s``,
    ``s = s_s s_d / s_ref``, ``t = t_s + t_d - t_ref``, ``e = e_s + e_d - e_ref``.  absolute: the driving clip's.
    source: the source's, unchanged.  A driving motion without expression features (E = 0: another system's) changes no expression.

    Args:
        source: N = 1 (portrait) or one row a driving frame (video as source).
        driving: N frames.
        reference: the driving clip's reference frame, N = 1, or one row a driving frame (one reference a shot).
        modes: one mode an attribute.

    Returns:
        N frames on the devices and in the dtypes of ``driving``. Differentiable in all three motions.

    Raises:
        RecordError: when the numbers of frames or the widths of the expression features do not fit.
    """
    frames = len(driving)
    if len(source) not in (1, frames) or len(reference) not in (1, frames):
        what = f"source has {len(source)} rows, the reference {len(reference)} (1 or {frames} wanted)"
        raise RecordError(what, where="transfer_motion")
    if not driving.expression.shape[1]:
        if modes.expression == "absolute":
            fix = 'take the expression "relative" (it does not change) or from the "source"'
            raise RecordError("this motion holds no expression", where="transfer_motion", fix=fix)
        width = source.expression.shape[1]
        driving, reference = (attrs.evolve(m, expression=m.expression.new_zeros(len(m), width)) for m in (driving, reference))
    if not source.expression.shape[1] == driving.expression.shape[1] == reference.expression.shape[1]:
        raise RecordError("expression features of different animators cannot be mixed", where="transfer_motion")
    source = source.map(lambda t: t.to(driving.rotation).expand(frames, *t.shape[1:]))
    reference = reference.map(lambda t: t.to(driving.rotation))
    relative = Motion(
        rotation=driving.rotation @ reference.rotation.transpose(-1, -2) @ source.rotation,  # (N, 3, 3)
        scale=source.scale * driving.scale / reference.scale,
        translation=source.translation + driving.translation - reference.translation,
        expression=source.expression + driving.expression - reference.expression,
    )
    choices = {"relative": relative, "absolute": driving, "source": source}
    return Motion(
        rotation=choices[modes.rotation].rotation,
        scale=choices[modes.scale].scale,
        translation=choices[modes.translation].translation,
        expression=choices[modes.expression].expression,
    )


def reference_cost(motion: Motion, usable: Tensor | None = None, mouth: Tensor | None = None) -> Tensor:
    """How unfit each frame (N,) is as reference; lower is better, ``inf`` where not usable.

    The cost adds, each divided by its own median over the usable frames: the head's angle to frontal, the distance of the
    expression feature to the clip's median and, when given, half the opening of the mouth.

    Args:
        motion: N frames.
        usable: (N,) bool, frames to choose from; all when None.
        mouth: (N,) float >= 0, how far the mouth is open; ignored when None.
    """
    keep = torch.ones(len(motion), dtype=torch.bool, device=motion.device) if usable is None else usable
    if not bool(keep.any()):
        return torch.full((len(motion),), torch.inf, device=motion.device)
    seen = motion[keep]
    frontal = torch.eye(3, device=motion.device, dtype=motion.rotation.dtype).expand_as(motion.rotation)
    terms = [
        (geodesic_degrees(frontal, motion.rotation), 1.0, 1.0),
        ((motion.expression - seen.expression.median(dim=0).values).norm(dim=-1), 1.0, 1e-6),
    ]
    if mouth is not None:
        terms.append((mouth, 0.5, 1e-6))
    cost = torch.zeros(len(motion), device=motion.device, dtype=motion.rotation.dtype)
    for term, weight, floor in terms:
        cost = cost + weight * term / term[keep].median().clamp_min(floor)
    return torch.where(keep, cost, torch.full_like(cost, torch.inf))


def choose_reference(motion: Motion, usable: Tensor | None = None, mouth: Tensor | None = None) -> int:
    """Index of the most neutral and frontal frame, see :func:`reference_cost`; the earliest of equals, 0 when none is usable."""
    return int(reference_cost(motion, usable, mouth).argmin())


def mouth_opening(points: Tensor) -> Tensor:
    """How far the mouth is open (N,), as a share of the face's height, from face-mesh points (N, P, 3).

    Inner lips are points 13 and 14 of the 468/478-point mesh; any other number of points gives zeros.
    """
    if points.shape[1] not in (468, 478):
        return torch.zeros(len(points), device=points.device, dtype=points.dtype)
    return _gap(points, 13, 14)


def eye_opening(points: Tensor) -> Tensor:
    """How far the eyes are open (N,), mean of both, as a share of the face's height, from face-mesh points (N, 468 or 478, 2 or 3)."""
    return (_gap(points, 159, 145) + _gap(points, 386, 374)) / 2


def openings(points: Tensor) -> Tensor:
    """How far mouth and eyes are open (N, 2), as shares of the face's height, from face-mesh points (N, 468 or 478, 2 or 3)."""
    return torch.stack([mouth_opening(points), eye_opening(points)], 1)


def _gap(points: Tensor, upper: int, lower: int) -> Tensor:
    height = points[..., 1].amax(dim=1) - points[..., 1].amin(dim=1)
    gap: Tensor = (points[:, upper] - points[:, lower]).norm(dim=-1) / height.clamp_min(1e-6)
    return gap
