"""One portrait, one attribute moved at a time, everything measured on the results."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mmfa_components.errors import NoFaceError
from mmfa_components.geometry.curves import Key
from mmfa_components.geometry.edit import Channel, MotionEdit, Take, edit_motion
from mmfa_components.geometry.rotations import euler_to_matrix, geodesic_degrees
from mmfa_components.records import HEAD, Frames, Motion
from pipelines.evaluation.animators import Runner
from pipelines.evaluation.measure import Instruments
from pipelines.evaluation.scenes import resized
from pipelines.evaluation.schema import Control, Input
from pipelines.runs.clips import Clip
from pipelines.stages.store import iterate
from pipelines.stages.transfer import find_reference

ATTRIBUTES = ("yaw", "pitch", "roll", "scale", "x", "y", "expression")
MEASURED = (*ATTRIBUTES, "identity")
NEAR = 15.0
"""Degrees of head rotation from the reference frame within which the most expressive frame is looked for."""


def spans(control: Control) -> dict[str, float]:
    """How far each attribute is moved to both sides, in units of measurement: radians, logarithm of scale, half crop sides; expression: strength."""
    angles = {name: math.radians(getattr(control, name)) for name in ("yaw", "pitch", "roll")}
    return {**angles, "scale": math.log(control.scale), "x": control.x, "y": control.y, "expression": control.expression}


def asked_values(control: Control) -> dict[str, Tensor]:
    """The values (steps,) asked of each attribute, in units of measurement, relative to the portrait's own."""
    return {
        name: torch.linspace(0.0 if name == "expression" else -span, span, control.steps, dtype=torch.float64)
        for name, span in spans(control).items()
    }


def swept_motion(own: Motion, attribute: str, values: Tensor, change: Tensor) -> Motion:
    """The motions of a sweep (steps rows): ``own`` (N = 1) with one attribute changed by each of ``values`` (steps,).

    Angles are added to the portrait's own yaw, pitch or roll; the scale is multiplied by exp(value); x and y are added; the expression
    feature gets value times ``change`` (E,). All other attributes stay exactly as they are.
    """
    if attribute in ("yaw", "pitch", "roll"):
        values = values.rad2deg()
    elif attribute == "scale":
        values = values.exp() - 1
    keys = tuple(Key(float(step), float(value)) for step, value in enumerate(values))
    times = torch.arange(len(values), device=own.device).to(own.scale)
    if attribute == "expression":
        strong = Motion(own.rotation, own.scale, own.translation, own.expression + change.to(own.expression))
        edit = MotionEdit(expression=Channel("relative", keys=keys))
        return edit_motion(own, edit, {"": Take(strong, own)}, times)
    edit = MotionEdit(**{attribute: Channel("source" if attribute == "scale" else "whole", keys=keys)})
    return edit_motion(own, edit, {}, times)


def expression_pair(clip: Clip, instruments: Instruments) -> tuple[int, int, Tensor]:
    """A clip's most neutral frame, the frame whose face differs most from it, and that difference of landmarks (478, 3).

    Landmarks are compared without the head's pose; only frames within NEAR degrees of the neutral one count. Raises NoFaceError when
    the clip has no second frame.
    """
    reference = find_reference(clip.motion, clip.track, "auto", str(clip.path), HEAD)
    tracks = list(iterate(clip.track, 256))
    found, points = torch.cat([t.found for t in tracks]), torch.cat([t.points for t in tracks])
    motion = clip.motion.read(0, len(clip.motion))
    turned = geodesic_degrees(motion.rotation[reference].expand_as(motion.rotation), motion.rotation)
    device = instruments.device
    shapes = instruments.pose.frontal(points.to(device).float()).cpu()
    change = shapes - shapes[reference]
    size = change[:, :468].norm(dim=-1).mean(1)
    size[~found | (turned > NEAR)] = -1.0
    size[reference] = -1.0
    strongest = int(size.argmax())
    if float(size[strongest]) <= 0:
        raise NoFaceError("has no second frame whose expression could be transferred", where=str(clip.path), fix="use a longer clip")
    return reference, strongest, change[strongest]


@torch.inference_mode()
def sweep(runner: Runner, instruments: Instruments, portrait: Input, clip: Clip, control: Control) -> dict[str, Tensor]:
    """Measurements of one portrait's sweeps, relative to the portrait rendered unmoved.

    Returns ``measured`` (7, steps, 8): rows as ATTRIBUTES, columns as MEASURED in units of measurement (identity: 1 - CSIM with the unmoved
    result), NaN where no face is seen or there is no metric of identity; ``turned`` (steps,), degrees of rotation by expression alone;
    ``images`` (7, 2, 3, 256, 256) uint8, both ends of each sweep, and ``still`` (3, 256, 256) uint8, the unmoved result.
    """
    made = runner.portrait(portrait.path)
    own = made.motion
    assert isinstance(own, Motion), "control is measured of heads only"
    neutral, strong, wanted = expression_pair(clip, instruments)
    change = clip.motion.read(strong, strong + 1).expression[0] - clip.motion.read(neutral, neutral + 1).expression[0]
    base = _render(runner, made.identity, own, own)
    base_pose, base_shape = _look(instruments, base)
    if bool(base_pose.isnan().any()):
        raise NoFaceError("shows no face any more when it is rendered unmoved", where=str(portrait.path))
    rows, images, turned = [], [], torch.zeros(control.steps)
    for attribute, values in asked_values(control).items():
        driving = swept_motion(own, attribute, values, change)
        moving = values != 0  # the others are the unmoved portrait
        rgb = base.expand(len(values), -1, -1, -1).clone()
        rgb[moving] = _render(runner, made.identity, own, driving[moving])
        pose, shape = _look(instruments, rgb)
        moved = pose - base_pose  # (steps, 6): yaw, pitch, roll, x, y, log scale
        strength = _strength(shape - base_shape, wanted)
        identity = _identity(instruments, rgb, base)
        rows.append(torch.stack([*moved[:, :3].T, moved[:, 5], moved[:, 3], moved[:, 4], strength, identity], 1))
        images.append(_bytes(rgb[[0, -1]]))
        if attribute == "expression":
            turned = geodesic_degrees(euler_to_matrix(*base_pose[:, :3].T).expand(len(pose), 3, 3), euler_to_matrix(*pose[:, :3].T))
    return {"measured": torch.stack(rows), "turned": turned, "images": torch.stack(images), "still": _bytes(base)[0]}


def _render(runner: Runner, identity: object, own: Motion, driving: Motion) -> Tensor:
    return resized(runner.render(identity, own, driving).permute(0, 3, 1, 2).float() / 255)


def _look(instruments: Instruments, rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Pose (N, 6) and pose-free landmarks (N, 478, 3), NaN without a face."""
    points, found = instruments.read(Frames(rgb.to(instruments.device)))
    pose = instruments.pose.of_points(points, found, rgb.shape[-1])
    shape = points.new_full((len(found), 478, 3), torch.nan)
    if bool(found.any()):
        shape[found] = instruments.pose.frontal(points[found].float())
    return pose.cpu(), shape.cpu()


def _strength(change: Tensor, wanted: Tensor) -> Tensor:
    """How much of the wanted change of landmarks (478, 3) each change (N, 478, 3) holds: its projection, 1 = all of it."""
    direction = wanted[:468].to(change)
    return (change[:, :468] * direction).sum((1, 2)) / direction.square().sum()


def _identity(instruments: Instruments, rgb: Tensor, base: Tensor) -> Tensor:
    if instruments.csim is None:
        return torch.full((len(rgb),), torch.nan)
    results = rgb.to(instruments.device)
    similarity: Tensor = instruments.csim(Frames(results), Frames(base.to(results).expand_as(results)))
    return 1 - similarity.cpu()


def _bytes(rgb: Tensor) -> Tensor:
    return (rgb * 255).round().to(torch.uint8)
