"""What the rest of the system has to know of a motion record: plain data that an animator's spec carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs
from attrs.validators import in_

from mmfa_components.errors import RecordError
from mmfa_components.records.base import Record
from mmfa_components.records.laws import HELD, TURNED
from mmfa_components.records.motion import Motion


@attrs.frozen
class Term:
    """One thing that makes a frame a good reference: field ``field`` near the law's neutral value, or near the clip's median.

    weight: of its distance, after division by the distance's median over the clip, which counts as at least ``floor``.
    """

    field: str
    near: str = attrs.field(default="median", validator=in_(("neutral", "median")))
    weight: float = 1.0
    floor: float = 1e-6


@attrs.frozen
class Curve:
    """A line of a plot. component: index into the field's last axis, or into yaw, pitch, roll; None for the whole field."""

    label: str
    component: int | None = None


@attrs.frozen
class Panel:
    """A panel of a plot: ``view`` of a field.

    view: "value", the numbers themselves; "angles", yaw, pitch and roll in degrees of rotations; "spread", the distance to the clip's
    median as a share of its 95th percentile.
    """

    title: str
    field: str
    view: str = attrs.field(default="spread", validator=in_(("value", "angles", "spread")))
    curves: tuple[Curve, ...] = (Curve("distance to the clip's median"),)


@attrs.frozen
class MotionKind:
    """A motion record with what transfer, steadying, editing and plots need to know of it. How its fields move, their laws say.

    record: a framewise record class.
    smooth: fields that ``face.smooth`` steadies.
    reference: what makes a frame the neutral one that ``reference = "auto"`` looks for; (): every field near its median.
    zeroed: fields whose neutral value (no rotation, scale 1, no offset) means something by itself, so that an absolute value can be
        amplified about it. Others are amplified about the clip's reference frame.
    feature: the field that holds the expression as a feature vector, "" for none: what an expression VAE learns.
    edits: "head" for records with the fields of Motion, which can be edited by yaw, pitch, roll, x, y, scale, eyes and mouth; "fields"
        for all others: every field from the source, relative or absolute, by an amount.
    panels: what plots show; (): one panel a field.

    Raises:
        RecordError: the record is not framewise, or a field named here is not one of its fields.
    """

    record: type[Record]
    smooth: tuple[str, ...] = ()
    reference: tuple[Term, ...] = ()
    zeroed: tuple[str, ...] = ()
    feature: str = ""
    edits: Literal["head", "fields"] = "fields"
    panels: tuple[Panel, ...] = ()

    def __attrs_post_init__(self) -> None:
        name = getattr(self.record, "__name__", str(self.record))
        if not (isinstance(self.record, type) and issubclass(self.record, Record) and self.record.framewise()):
            raise RecordError("a motion has one row a frame in every field", where=name, fix='declare its fields as tensor("N", ...)')
        named = (*self.smooth, *self.zeroed, *(t.field for t in self.reference), *(p.field for p in self.panels))
        named += (self.feature,) if self.feature else ()
        unknown = [field for field in named if field not in self.fields]
        if unknown:
            raise RecordError(f"has no field {unknown[0]!r}", where=name, fix=f"its fields are {', '.join(self.fields)}")
        if self.edits == "head" and not issubclass(self.record, Motion):
            raise RecordError('cannot be edited as a "head"', where=name, fix="derive it from Motion, or use edits = 'fields'")

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the record's tensor fields."""
        return tuple(self.record.tensor_fields())

    def shown(self) -> tuple[Panel, ...]:
        """The panels of a plot: those given, else one a field that can change."""
        return self.panels or tuple(
            Panel(f"{name}, degrees", name, "angles", ANGLES) if law is TURNED else Panel(name, name)
            for name, law in self.record.laws().items()
            if law is not HELD
        )


ANGLES = (Curve("yaw (+ nose to the left)", 0), Curve("pitch (+ up)", 1), Curve("roll (+ clockwise)", 2))

HEAD = MotionKind(
    Motion,
    smooth=("rotation", "scale", "translation"),
    reference=(Term("rotation", "neutral", floor=1.0), Term("expression")),
    zeroed=("rotation", "scale", "translation"),
    feature="expression",
    edits="head",
    panels=(
        Panel("rotation, degrees", "rotation", "angles", ANGLES),
        Panel("translation, half crop sides", "translation", "value", (Curve("x (+ right)", 0), Curve("y (+ down)", 1))),
        Panel("scale", "scale", "value", (Curve("s"),)),
        Panel("expression", "expression"),
    ),
)
"""Motion of a head that turns, moves and grows, with an expression feature (paper eq. 4, 5)."""


def motion_kind_of(record: type[Record], kinds: Mapping[str, MotionKind]) -> MotionKind | None:
    """The kind of motion, of those given by the names of their records, that a record class is or extends; None for other records."""
    return next((kinds[c.__name__] for c in record.__mro__ if c.__name__ in kinds), None)
