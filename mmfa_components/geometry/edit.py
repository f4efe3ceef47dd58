"""Editing of motion: every attribute taken from where the user says (issue: motion control; eq. 4, 5 with parts exchanged).

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
from mmfa_components.geometry.rotations import euler_to_matrix, matrix_to_euler, slerp
from mmfa_components.geometry.transfer import TransferModes, transfer_motion
from mmfa_components.records import Motion, RegionalMotion

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
        return tuple(dict.fromkeys(c.clip for c in self.channels().values() if c.takes_clip))

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


@attrs.frozen
class Take:
    """A clip ready to take from: its motion, one row a result frame (or 1 row for all), and its reference, 1 row or one a result frame."""

    motion: Motion
    reference: Motion


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
    frames, like = len(times), source.rotation
    if not frames or len(source) not in (1, frames):
        raise RecordError(f"source has {len(source)} rows (1 or {frames} wanted)", where="edit_motion")
    for name, channel in edit.channels().items():
        if channel.origin not in ALLOWED[name]:
            what = f"{name} cannot come from {channel.origin!r}"
            raise RecordError(what, where="edit_motion", fix=f"known: {', '.join(ALLOWED[name])}")
        if channel.takes_clip and channel.clip not in takes:
            text = f"clip {channel.clip!r}" if channel.clip else "a driving clip"
            raise RecordError(f"{name} is taken from {text}, but there is none", where="edit_motion", fix='take it from the "source"')
    source = _rows(source, frames)
    times = times.to(like)
    taken = {name: _taken(name, source, channel, takes, times) for name, channel in edit.channels().items() if channel.origin in TAKEN}
    rotation = _rotation(edit, taken, times)
    translation, z = taken["translation"].translation, taken["translation"].translation[:, 2]
    parts = [
        _part(channel, translation[:, axis], taken[name].translation[:, axis] if name in taken else None, times)
        for axis, (name, channel) in enumerate((("x", edit.x), ("y", edit.y)))
    ]
    scale = _scale(edit.scale, taken.get("scale"), times)
    motion = Motion(rotation, scale, torch.stack([*parts, z], -1), taken["expression"].expression)
    if not edit.regional:
        return motion
    eyes, mouth = (taken.get(name, taken["expression"]).expression for name in ("eyes", "mouth"))
    return RegionalMotion(motion.rotation, motion.scale, motion.translation, motion.expression, eyes, mouth)


def amplify(motion: Motion, about: Motion, amount: Tensor | float) -> Motion:
    """``motion`` (N rows) with its deviation from ``about`` (1 or N rows) multiplied by ``amount``, a number or (N,).

    Rotation: ``(R R_about^T)^amount R_about`` along the geodesic; scale: ``s_about (s / s_about)^amount``; the rest linear.
    """
    amount = torch.as_tensor(amount, dtype=motion.scale.dtype, device=motion.device).expand(len(motion))
    about = _rows(about, len(motion))
    change = motion.rotation @ about.rotation.transpose(-1, -2)
    still = torch.eye(3, dtype=change.dtype, device=change.device).expand_as(change)
    return Motion(
        rotation=slerp(still, change, amount) @ about.rotation,
        scale=about.scale * (motion.scale / about.scale) ** amount,
        translation=torch.lerp(about.translation, motion.translation, amount[:, None]),
        expression=torch.lerp(about.expression, motion.expression, amount[:, None]),
    )


def angles_of(motion: Motion) -> Tensor:
    """Yaw, pitch, roll (N, 3) in degrees, as users read and type them."""
    return torch.rad2deg(torch.stack(matrix_to_euler(motion.rotation), -1))


# ---- inside ---------------------------------------------------------------------------------------------------------
def _rows(motion: Motion, frames: int) -> Motion:
    if len(motion) not in (1, frames):
        raise RecordError(f"a clip has {len(motion)} rows (1 or {frames} wanted)", where="edit_motion")
    return Motion(*(t.expand(frames, *t.shape[1:]) for t in (motion.rotation, motion.scale, motion.translation, motion.expression)))


def _taken(name: str, source: Motion, channel: Channel, takes: Mapping[str, Take], times: Tensor) -> Motion:
    """The motion a channel with an origin of TAKEN picks its attribute from."""
    frames = len(source)
    amount: Tensor | float = channel.amount
    expression_amount: Tensor | float = channel.amount
    if channel.keys:
        expression_amount = channel.amount * curve(channel.keys, times)
    if channel.origin == "source":
        zero = _zero(source, source.expression)
        return _amplified(source, zero, amount, 1.0)
    take = takes[channel.clip]
    driving, reference = (_rows(m.map(lambda t: t.to(source.rotation)), frames) for m in (take.motion, take.reference))
    if channel.origin == "absolute":
        if name in FACE and not driving.expression.shape[1]:
            raise RecordError(f"{name} is taken from a motion that holds no expression", where="edit_motion", fix='take it from the "source"')
        return _amplified(driving, _zero(driving, reference.expression), amount, expression_amount)
    driving = _amplified(driving, reference, amount, expression_amount)
    return transfer_motion(source, driving, take.reference.map(lambda t: t.to(source.rotation)), TransferModes())


def _amplified(motion: Motion, about: Motion, amount: Tensor | float, expression: Tensor | float) -> Motion:
    """As amplify, but exactly ``motion`` where the amount is 1."""
    one, feature = _is_one(amount), _is_one(expression)
    pose = motion if one else amplify(motion, about, amount)
    face = motion if feature else amplify(motion, about, expression)
    return Motion(pose.rotation, pose.scale, pose.translation, face.expression)


def _is_one(amount: Tensor | float) -> bool:
    return not isinstance(amount, Tensor) and amount == 1.0


def _zero(like: Motion, expression: Tensor) -> Motion:
    """The frontal head in the middle of the crop with scale 1."""
    still = torch.eye(3, dtype=like.rotation.dtype, device=like.device).expand_as(like.rotation)
    return Motion(still, torch.ones_like(like.scale), torch.zeros_like(like.translation), expression)


def _rotation(edit: MotionEdit, taken: Mapping[str, Motion], times: Tensor) -> Tensor:
    whole = taken["rotation"].rotation
    channels = {name: getattr(edit, name) for name in ANGLES}
    if all(c.plain_whole for c in channels.values()):
        return whole
    degrees = [torch.rad2deg(a) for a in matrix_to_euler(whole)]
    angles = []
    for axis, (name, channel) in enumerate(channels.items()):
        own = torch.rad2deg(matrix_to_euler(taken[name].rotation)[axis]) if name in taken else None
        angles.append(torch.deg2rad(_part(channel, degrees[axis], own, times)))
    return euler_to_matrix(*angles)


def _part(channel: Channel, whole: Tensor, own: Tensor | None, times: Tensor) -> Tensor:
    """A number (N,): from the whole, from its own origin, or given; with what is added."""
    if channel.origin == "curve":
        return curve(channel.keys, times) + channel.offset
    base = torch.full_like(whole, channel.value) if channel.origin == "constant" else whole if own is None else own
    added = curve(channel.keys, times) if channel.keys else 0.0
    return base + added + channel.offset


def _scale(channel: Channel, taken: Motion | None, times: Tensor) -> Tensor:
    if channel.origin == "curve":
        scale = curve(channel.keys, times)
    else:
        base = torch.full_like(times, channel.value) if taken is None else taken.scale
        scale = base * (1 + curve(channel.keys, times)) if channel.keys else base
    return (scale * (1 + channel.offset)).clamp_min(1e-3)
