"""Editing of motion: every attribute taken from where the user says (eq. 4, 5 with parts exchanged).

Motion of a head is edited by its attributes (:class:`MotionEdit`), any other by its fields (:class:`FieldEdit`).

Directions, as a viewer sees them, follow ``rotations.py`` (axes x right, y down, z towards the viewer):

* yaw > 0: the nose goes to the LEFT of the picture (``R e_z`` has x = -sin yaw).
* pitch > 0: the nose goes UP (y = -cos yaw sin pitch): the face looks up.
* roll > 0: the head tilts CLOCKWISE, its top to the right of the picture.
* x > 0: to the right; y > 0: down; both in units of half the crop's side.  scale > 1: larger.

Angles of users are degrees; ``R = Rx(pitch) Ry(-yaw) Rz(roll)``, unique for yaw within +-90 degrees.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import torch
from attrs.validators import in_
from torch import Tensor

from mmfa_components.errors import RecordError
from mmfa_components.geometry.curves import Key, curve
from mmfa_components.geometry.rotations import euler_to_matrix, matrix_to_euler
from mmfa_components.geometry.transfer import taken_field
from mmfa_components.records import HEAD, Motion, MotionKind, Record, RegionalMotion

TAKEN = ("source", "relative", "absolute")
NUMBERS = (*TAKEN, "constant", "curve")
ANGLES, FACE = ("yaw", "pitch", "roll"), ("expression", "eyes", "mouth")


@attrs.frozen
class Channel:
    """Where one attribute comes from.

    origin:
        "source": the source's own.  "relative": the source's own, changed as a clip changes from its reference frame.
        "absolute": a clip's.  "constant": ``value``.  "curve": ``keys``.
        Parts of a whole can also be "whole": what the whole gives (yaw, pitch, roll of rotation; x, y of translation; eyes, mouth
        of expression).
    clip: name of the clip among the takes; "" is the driving clip.
    amount: multiple of the deviation. relative: of the clip's change from its reference. absolute and source: of the deviation from
        zero, which is the frontal head, the middle of the crop, scale 1; for an absolute expression it is the clip's reference frame.
        Rotations are multiplied along the geodesic (R to the power of amount), scales are raised to the power.
    value: of a constant; degrees, half crop sides, scale.
    keys: the curve of origin "curve"; with any other origin it is added over time. For the expression and its regions it is no value
        but multiplies ``amount`` over time.
    offset: added at the end (degrees, half crop sides); for the scale a share: 0.1 makes it a tenth larger, -0.1 a tenth smaller. The
        same holds for ``keys`` that are added.
    """

    origin: str = attrs.field(default="source", validator=in_((*NUMBERS, "whole")))
    clip: str = ""
    amount: float = 1.0
    value: float = 0.0
    keys: tuple[Key, ...] = ()
    offset: float = 0.0

    @property
    def takes_clip(self) -> bool:
        """True when a clip is needed."""
        return self.origin in ("relative", "absolute")

    @property
    def plain_whole(self) -> bool:
        """True when this part is exactly what its whole gives."""
        return self.origin == "whole" and not self.keys and self.offset == 0.0


def _whole() -> Channel:
    return Channel("whole")


def _clips(channels: Mapping[str, Channel]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(c.clip for c in channels.values() if c.takes_clip))


@attrs.frozen
class FieldEdit:
    """One channel a field, with an origin of TAKEN; fields that are not named come from the source."""

    fields: Mapping[str, Channel] = attrs.field(factory=dict)

    def channels(self) -> dict[str, Channel]:
        """The channels by name."""
        return dict(self.fields)

    @property
    def clips(self) -> tuple[str, ...]:
        """Names of the clips that are needed, in order of first use."""
        return _clips(self.channels())

    @property
    def regional(self) -> bool:
        """Never: only a head has regions."""
        return False


@attrs.frozen
class MotionEdit:
    """One channel an attribute. With the defaults the source does not move.

    rotation, translation, expression are wholes and take origins "source", "relative", "absolute"; yaw, pitch, roll (degrees), x, y
    (half crop sides), eyes and mouth are parts that may come from elsewhere. eyes and mouth take what expression takes, and "whole".
    """

    rotation: Channel = attrs.field(factory=Channel)
    yaw: Channel = attrs.field(factory=_whole)
    pitch: Channel = attrs.field(factory=_whole)
    roll: Channel = attrs.field(factory=_whole)
    translation: Channel = attrs.field(factory=Channel)
    x: Channel = attrs.field(factory=_whole)
    y: Channel = attrs.field(factory=_whole)
    scale: Channel = attrs.field(factory=Channel)
    expression: Channel = attrs.field(factory=Channel)
    eyes: Channel = attrs.field(factory=_whole)
    mouth: Channel = attrs.field(factory=_whole)

    def channels(self) -> dict[str, Channel]:
        """The channels by name."""
        return {f.name: getattr(self, f.name) for f in attrs.fields(type(self))}

    @property
    def clips(self) -> tuple[str, ...]:
        """Names of the clips that are needed, in order of first use."""
        return _clips(self.channels())

    @property
    def regional(self) -> bool:
        """True when eyes or mouth come from elsewhere than the rest of the expression."""
        return self.eyes.origin != "whole" or self.mouth.origin != "whole"


ALLOWED: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("rotation", "translation", "expression"), TAKEN),
    **dict.fromkeys((*ANGLES, "x", "y"), ("whole", *NUMBERS)),
    "scale": NUMBERS,
    **dict.fromkeys(("eyes", "mouth"), ("whole", *TAKEN)),
}
"""Origins each attribute can have."""


FIELDS: Mapping[str, str] = {
    **dict.fromkeys(("rotation", *ANGLES), "rotation"),
    **dict.fromkeys(("translation", "x", "y"), "translation"),
    "scale": "scale",
    **dict.fromkeys(FACE, "expression"),
}
"""The field of a Motion that each attribute of a head is read from."""


@attrs.frozen
class Take:
    """A clip ready to take from: its motion, one row a result frame (or 1 row for all), and its reference, 1 row or one a result frame."""

    motion: Record
    reference: Record


def apply_edit(source: Record, edit: MotionEdit | FieldEdit, takes: Mapping[str, Take], times: Tensor, kind: MotionKind) -> Record:
    """:func:`edit_motion` or :func:`edit_fields`, whichever ``edit`` asks for. Raises RecordError as they do."""
    if isinstance(edit, FieldEdit):
        return edit_fields(source, edit, takes, times, kind)
    if not isinstance(source, Motion):
        fix = "edit its fields"
        raise RecordError(f"a {type(source).__name__} cannot be edited as the motion of a head", where="edit_motion", fix=fix)
    return edit_motion(source, edit, takes, times)


def edit_fields(source: Record, edit: FieldEdit, takes: Mapping[str, Take], times: Tensor, kind: MotionKind) -> Record:
    """The motion of the result, one row a time, each field as ``edit`` says; arguments, dtype and errors as for :func:`edit_motion`."""
    _check(source, edit.channels(), dict.fromkeys(kind.fields, TAKEN), takes, times)
    own = source.plain(kind.record)
    rows = {}
    for name in kind.fields:
        values = getattr(own, name)
        channel = edit.fields.get(name, Channel())
        rows[name] = _taken(own, name, channel, takes, _times(times, values), name in kind.zeroed, multiplied=True)
    return attrs.evolve(own, **rows)


def edit_motion(source: Motion, edit: MotionEdit, takes: Mapping[str, Take], times: Tensor) -> Motion:
    """The motion of the result, one row a time.

    Args:
        source: the source's own motion, N = 1 (portrait) or one row a time (video).
        edit: where each attribute comes from.
        takes: the clips by name; "" is the driving clip. Only those that ``edit.clips`` names are needed.
        times: (N,) float, seconds of the result's frames from its beginning: where keyframed curves are read.

    Returns:
        N rows in the dtype and on the device of ``source``; a RegionalMotion when eyes or mouth come from elsewhere than the rest of the
        expression. Differentiable in all motions.

    Raises:
        RecordError: an origin its attribute cannot have, a clip that is not there, or numbers of rows that do not fit.
    """
    channels = edit.channels()
    _check(source, channels, ALLOWED, takes, times)
    times = times.to(source.rotation)
    taken = {
        name: _taken(source, FIELDS[name], channel, takes, times, FIELDS[name] in HEAD.zeroed, multiplied=name in FACE)
        for name, channel in channels.items()
        if channel.origin in TAKEN
    }
    rotation = _rotation(edit, taken, times)
    translation, z = taken["translation"], taken["translation"][:, 2]
    parts = [
        _part(channel, translation[:, axis], taken[name][:, axis] if name in taken else None, times)
        for axis, (name, channel) in enumerate((("x", edit.x), ("y", edit.y)))
    ]
    scale = _scale(edit.scale, taken.get("scale"), times)
    motion = Motion(rotation, scale, torch.stack([*parts, z], -1), taken["expression"])
    if not edit.regional:
        return motion
    eyes, mouth = (taken.get(name, taken["expression"]) for name in ("eyes", "mouth"))
    return RegionalMotion(motion.rotation, motion.scale, motion.translation, motion.expression, eyes, mouth)


def angles_of(motion: Motion) -> Tensor:
    """Yaw, pitch, roll (N, 3) in degrees, as users read and type them."""
    return torch.rad2deg(torch.stack(matrix_to_euler(motion.rotation), -1))


# ---- inside ---------------------------------------------------------------------------------------------------------
def _check(source: Record, channels: Mapping[str, Channel], allowed: Mapping[str, tuple[str, ...]], takes: Mapping[str, Take], times: Tensor) -> None:
    if not len(times) or len(source) not in (1, len(times)):
        raise RecordError(f"source has {len(source)} rows (1 or {len(times)} wanted)", where="edit_motion")
    for name, channel in channels.items():
        if name not in allowed:
            raise RecordError(f"this motion has no field {name!r}", where="edit_motion", fix=f"its fields are {', '.join(allowed)}")
        if channel.origin not in allowed[name]:
            what = f"{name} cannot come from {channel.origin!r}"
            raise RecordError(what, where="edit_motion", fix=f"known: {', '.join(allowed[name])}")
        if not channel.takes_clip:
            continue
        if channel.clip not in takes:
            text = f"clip {channel.clip!r}" if channel.clip else "a driving clip"
            raise RecordError(f"{name} is taken from {text}, but there is none", where="edit_motion", fix='take it from the "source"')
        rows = len(takes[channel.clip].motion)
        if rows not in (1, len(times)):
            raise RecordError(f"a clip has {rows} rows (1 or {len(times)} wanted)", where="edit_motion")


def _times(times: Tensor, like: Tensor) -> Tensor:
    return times.to(like) if like.is_floating_point() else times


def _taken(
    source: Record,
    field: str,
    channel: Channel,
    takes: Mapping[str, Take],
    times: Tensor,
    zeroed: bool,
    multiplied: bool,
) -> Tensor:
    """The values (N, ...) of a field that a channel with an origin of TAKEN picks. multiplied: its keys multiply the amount."""
    own: Tensor = getattr(source, field)
    own = own.expand(len(times), *own.shape[1:])
    amount: Tensor | float = channel.amount
    if channel.keys and multiplied:
        amount = channel.amount * curve(channel.keys, times)
    if channel.takes_clip:
        take = takes[channel.clip]
        driving, reference = (getattr(m, field).to(own) for m in (take.motion, take.reference))
        driving = driving.expand(len(times), *driving.shape[1:])
    else:
        driving, reference = own, own[:1]
    return taken_field(source, field, own, driving, reference, channel.origin, amount, zeroed)


def _rotation(edit: MotionEdit, taken: Mapping[str, Tensor], times: Tensor) -> Tensor:
    whole = taken["rotation"]
    channels = {name: getattr(edit, name) for name in ANGLES}
    if all(c.plain_whole for c in channels.values()):
        return whole
    degrees = [torch.rad2deg(a) for a in matrix_to_euler(whole)]
    angles = []
    for axis, (name, channel) in enumerate(channels.items()):
        own = torch.rad2deg(matrix_to_euler(taken[name])[axis]) if name in taken else None
        angles.append(torch.deg2rad(_part(channel, degrees[axis], own, times)))
    return euler_to_matrix(*angles)


def _part(channel: Channel, whole: Tensor, own: Tensor | None, times: Tensor) -> Tensor:
    """A number (N,): from the whole, from its own origin, or given; with what is added."""
    if channel.origin == "curve":
        return curve(channel.keys, times) + channel.offset
    base = torch.full_like(whole, channel.value) if channel.origin == "constant" else whole if own is None else own
    added = curve(channel.keys, times) if channel.keys else 0.0
    return base + added + channel.offset


def _scale(channel: Channel, taken: Tensor | None, times: Tensor) -> Tensor:
    if channel.origin == "curve":
        scale = curve(channel.keys, times)
    else:
        base = torch.full_like(times, channel.value) if taken is None else taken
        scale = base * (1 + curve(channel.keys, times)) if channel.keys else base
    return (scale * (1 + channel.offset)).clamp_min(1e-3)
