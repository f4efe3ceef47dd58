"""Transfer of motion from a driving clip to a source, each field in its own way and by its own law (eq. 4, 5 with parts exchanged).

Because identity is no part of a motion, its fields can be exchanged one by one. Nothing here knows which fields there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import attrs
import torch
from torch import Tensor

from mmfa_components.errors import RecordError, did_you_mean
from mmfa_components.geometry.laws import RULES
from mmfa_components.geometry.rotations import nearest_rotation
from mmfa_components.records import HELD, TURNED, MotionKind, Record, Term

R = TypeVar("R", bound=Record)
MODES = ("relative", "absolute", "source")


@attrs.frozen
class Mode:
    """Where a field comes from, and the multiple of its deviation.

    origin: "relative", the source's own, changed as the driving clip changes from its reference frame; "absolute", the driving clip's;
        "source", the source's, unchanged.
    amount: relative: multiple of the clip's change from its reference. absolute, source: multiple of the deviation from the neutral
        value for fields that are zeroed, else of an absolute field's deviation from the clip's reference frame.
    """

    origin: str = attrs.field(default="relative", validator=attrs.validators.in_(MODES))
    amount: float = 1.0


def between(left: R, right: R, weight: Tensor) -> R:
    """Rows ``weight`` (N,) of the way from ``left`` to ``right`` (1 or N rows each), every field by its law. Differentiable."""
    count = len(weight)
    rows = {
        name: RULES[law].between(_expand(getattr(left, name), count), _expand(getattr(right, name), count), weight)
        for name, law in left.laws().items()
    }
    return attrs.evolve(left, **rows)


def amplify(motion: R, about: R, amount: Tensor | float) -> R:
    """``motion`` (N rows) with its deviation from ``about`` (1 or N rows) multiplied by ``amount``, a number or (N,), by each field's law."""
    return between(about.plain(type(motion)), motion, _amounts(amount, motion))


def steadied(motion: R, fields: Sequence[str], radius: int) -> R:
    """``motion`` with ``fields`` averaged over ``2 radius + 1`` rows around each (a triangular window), by their laws."""
    if radius <= 0:
        return motion
    laws = motion.laws()
    return attrs.evolve(motion, **{name: RULES[laws[name]].averaged(getattr(motion, name), radius) for name in fields})


def neutral_pose(motion: R, kind: MotionKind) -> R:
    """``motion`` with its zeroed fields at their neutral values: no rotation, scale 1, no offset."""
    laws = motion.laws()
    return attrs.evolve(motion, **{name: RULES[laws[name]].neutral(getattr(motion, name)) for name in kind.zeroed})


def transfer_motion(source: R, driving: R, reference: R, modes: Mapping[str, Mode] | None = None, zeroed: Sequence[str] = ()) -> R:
    """The motion of the result, one row a driving frame.

    A field that the driving motion holds no numbers of (a size of 0: another system's) changes nothing.

    Args:
        source: N = 1 (portrait) or one row a driving frame (video as source).
        driving: N frames.
        reference: the driving clip's reference frame, N = 1, or one row a driving frame (one reference a shot).
        modes: by field; fields that are left out are relative.
        zeroed: fields whose neutral value means something by itself; see MotionKind.

    Returns:
        N frames of the class of ``driving``, on its device and in its dtypes. Differentiable in all three motions.

    Raises:
        RecordError: an unknown field, numbers of frames or sizes of fields that do not fit, or an absolute field that is not there.
    """
    frames, modes = len(driving), modes or {}
    if len(source) not in (1, frames) or len(reference) not in (1, frames):
        what = f"source has {len(source)} rows, the reference {len(reference)} (1 or {frames} wanted)"
        raise RecordError(what, where="transfer_motion")
    laws = driving.laws()
    for name in modes:
        if name not in laws:
            raise RecordError(f"this motion has no field {name!r}", where="transfer_motion", fix=did_you_mean(name, laws))
    rows = {}
    for name in laws:
        own, given, neutral = (getattr(m, name) for m in (source, driving, reference))
        mode = modes.get(name, Mode())
        rows[name] = taken_field(driving, name, own, given, neutral, mode.origin, mode.amount, name in zeroed)
    return attrs.evolve(driving, **rows)


def taken_field(
    record: Record, name: str, source: Tensor, driving: Tensor, reference: Tensor, origin: str, amount: Tensor | float, zeroed: bool
) -> Tensor:
    """Field ``name`` of the result (N, ...); see :class:`Mode`. source, reference: 1 or N rows; amount: a number or (N,).

    Raises RecordError for sizes that do not fit, or a field without numbers that is wanted "absolute".
    """
    rule, frames = RULES[record.laws()[name]], len(driving)
    own = _expand(source.to(driving), frames)
    if own.numel() and not driving.numel():  # another system's motion does not hold this field
        if origin == "absolute":
            fix = f'take {name} "relative" (it does not change) or from the "source"'
            raise RecordError(f"this motion holds no {name}", where="transfer_motion", fix=fix)
        return own
    if not own.shape[1:] == driving.shape[1:] == reference.shape[1:]:
        what = f"{name} of different animators cannot be mixed"
        raise RecordError(what, where="transfer_motion", fix="use motion that was made by this animator")
    start = _expand(reference.to(driving), frames)
    if origin == "source":
        return amplified_field(record, name, own, rule.neutral(own), amount) if zeroed else own
    if origin == "absolute":
        return amplified_field(record, name, driving, rule.neutral(driving) if zeroed else start, amount)
    return rule.carried(own, amplified_field(record, name, driving, start, amount), start)


def amplified_field(record: Record, name: str, values: Tensor, about: Tensor, amount: Tensor | float) -> Tensor:
    """``values`` with their deviation from ``about`` multiplied; exactly ``values`` where the amount is the number 1."""
    if not isinstance(amount, Tensor) and amount == 1.0:
        return values
    return RULES[record.laws()[name]].between(about, values, _amounts(amount, values))


def _amounts(amount: Tensor | float, like: Record | Tensor) -> Tensor:
    first = like if isinstance(like, Tensor) else next(t for t in like.tensors().values() if t.is_floating_point())
    return torch.as_tensor(amount, dtype=first.dtype, device=first.device).expand(len(like))


def _expand(values: Tensor, frames: int) -> Tensor:
    return values.expand(frames, *values.shape[1:])


# ---- the reference frame --------------------------------------------------------------------------------------------
def reference_cost(motion: Record, kind: MotionKind, usable: Tensor | None = None, mouth: Tensor | None = None) -> Tensor:
    """How unfit each frame (N,) is as reference; lower is better, ``inf`` where not usable.

    The cost adds the terms of ``kind``, each divided by its own median over the usable frames, and, when given, half the opening of the
    mouth likewise.

    Args:
        motion: N frames.
        kind: of the motion; without terms every field counts by its distance to the clip's median.
        usable: (N,) bool, frames to choose from; all when None.
        mouth: (N,) float >= 0, how far the mouth is open; ignored when None.
    """
    keep = torch.ones(len(motion), dtype=torch.bool, device=motion.device) if usable is None else usable
    if not bool(keep.any()):
        return torch.full((len(motion),), torch.inf, device=motion.device)
    terms = [(_distance(motion, term, keep), term.weight, term.floor) for term in terms_of(kind)]
    if mouth is not None:
        terms.append((mouth, 0.5, 1e-6))
    cost = torch.zeros(len(motion), device=motion.device, dtype=terms[0][0].dtype)
    for term, weight, floor in terms:
        cost = cost + weight * term / term[keep].median().clamp_min(floor)
    return torch.where(keep, cost, torch.full_like(cost, torch.inf))


def terms_of(kind: MotionKind) -> tuple[Term, ...]:
    """The terms of a kind of motion; every field near its median where it names none."""
    return kind.reference or tuple(Term(name) for name, law in kind.record.laws().items() if law is not HELD)


def _distance(motion: Record, term: Term, keep: Tensor) -> Tensor:
    values: Tensor = getattr(motion, term.field)
    law = motion.laws()[term.field]
    if term.near == "neutral":
        near = RULES[law].neutral(values)
    else:
        near = values[keep].median(dim=0, keepdim=True).values.expand_as(values)
        near = nearest_rotation(near) if law is TURNED else near
    return RULES[law].distance(values, near)


def choose_reference(motion: Record, kind: MotionKind, usable: Tensor | None = None, mouth: Tensor | None = None) -> int:
    """Index of the most neutral frame, see :func:`reference_cost`; the earliest of equals, 0 when none is usable."""
    return int(reference_cost(motion, kind, usable, mouth).argmin())


def departure(motion: Record, start: Record, kind: MotionKind) -> Tensor:
    """How far each row (N,) is from ``start`` (N = 1), over the terms of ``kind``: 1 is a turn of 15 degrees, or the farthest row."""
    total = torch.zeros(len(motion), device=motion.device)
    for term in terms_of(kind):
        law, values = motion.laws()[term.field], getattr(motion, term.field)
        far = RULES[law].distance(values, getattr(start, term.field).expand_as(values))
        total = total + (far / 15.0 if law is TURNED else far / far.max().clamp_min(1e-6))
    return total
