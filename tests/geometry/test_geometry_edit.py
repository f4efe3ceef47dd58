"""Editing of motion: directions in the picture, origins, amounts, curves, gradients."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from mmfa_components.errors import RecordError
from mmfa_components.geometry.compose import compose_points
from mmfa_components.geometry.curves import Key, curve, curve_of
from mmfa_components.geometry.edit import ALLOWED, Channel, FieldEdit, MotionEdit, Take, angles_of, apply_edit, edit_motion
from mmfa_components.geometry.rotations import euler_to_matrix, geodesic_degrees
from mmfa_components.geometry.transfer import Mode, amplify, transfer_motion
from mmfa_components.records import HEAD, Motion, RegionalMotion

FRAMES = 5
TIMES = torch.linspace(0, 2, FRAMES, dtype=torch.float64)


def motion(frames: int, seed: int, size: float = 0.4) -> Motion:
    g = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return size * torch.randn(*shape, generator=g, dtype=torch.float64)

    rotation = euler_to_matrix(noise(frames).clamp(-1, 1), noise(frames), noise(frames))
    return Motion(rotation, noise(frames).exp(), noise(frames, 3), noise(frames, 6))


PORTRAIT, CLIP, OTHER = motion(1, 1), motion(FRAMES, 2), motion(FRAMES, 3)
TAKES = {"": Take(CLIP, CLIP[2:3]), "other": Take(OTHER, OTHER[:1])}


def edited(source: Motion = PORTRAIT, **channels: Channel) -> Motion:
    return edit_motion(source, MotionEdit(**channels), TAKES, TIMES)


def face_in_picture(result: Motion) -> dict[str, Tensor]:
    """Where a nose tip, the top of the head and the ears of a simple head land in the picture, x right and y down, one row a frame."""
    head = torch.tensor([[0, 0, 0.5], [0, -0.6, 0], [-0.5, 0, 0], [0.5, 0, 0]], dtype=torch.float64).expand(len(result), -1, -1)
    points = compose_points(head, 0 * head, result.rotation, result.scale, result.translation)[..., :2]
    return dict(zip(("nose", "top", "left", "right"), points.unbind(1), strict=True))


# ---- directions as a viewer sees them ---------------------------------------------------------------------------------
def frontal() -> Motion:
    return Motion(torch.eye(3, dtype=torch.float64)[None], torch.ones(1).double(), torch.zeros(1, 3).double(), torch.zeros(1, 6).double())


@pytest.mark.parametrize(
    ("name", "point", "axis", "sign"),
    [("yaw", "nose", 0, -1), ("pitch", "nose", 1, -1), ("roll", "top", 0, +1), ("x", "nose", 0, +1), ("y", "nose", 1, +1)],
)
def test_positive_values_move_the_picture_as_documented(name: str, point: str, axis: int, sign: int) -> None:
    amount = 20.0 if name in ("yaw", "pitch", "roll") else 0.2
    before, after = face_in_picture(edited(frontal())), face_in_picture(edited(frontal(), **{name: Channel("whole", offset=amount)}))
    moved = (after[point] - before[point])[0]
    assert float(moved[axis]) * sign > 0.1
    other = float(moved[1 - axis])
    assert abs(other) < 0.05 if name != "roll" else other > 0  # the top sinks a little as it tilts


def test_scale_makes_the_face_larger_in_the_picture() -> None:
    before, after = face_in_picture(edited(frontal())), face_in_picture(edited(frontal(), scale=Channel("source", offset=0.1)))
    width = [(f["right"] - f["left"]).norm() for f in (before, after)]
    assert float(width[1] / width[0]) == pytest.approx(1.1)


def test_constants_are_what_the_angles_read_afterwards() -> None:
    result = edited(yaw=Channel("constant", value=25.0), pitch=Channel("constant", value=-10.0), roll=Channel("constant", value=5.0))
    torch.testing.assert_close(angles_of(result), torch.tensor([[25.0, -10.0, 5.0]]).double().expand(FRAMES, 3))


def test_one_angle_changes_alone() -> None:
    result, own = angles_of(edited(yaw=Channel("constant", value=30.0))), angles_of(PORTRAIT)
    torch.testing.assert_close(result[:, 1:], own[:, 1:].expand(FRAMES, 2))


# ---- origins ------------------------------------------------------------------------------------------------------
def same(first: Motion, second: Motion) -> None:
    for a, b in zip(first.tensors().values(), second.tensors().values(), strict=True):
        torch.testing.assert_close(a, b.expand_as(a))


def test_with_the_defaults_the_source_is_unchanged() -> None:
    result = edit_motion(PORTRAIT, MotionEdit(), {}, TIMES)
    assert len(result) == FRAMES
    assert all(torch.equal(a, b.expand_as(a)) for a, b in zip(result.tensors().values(), PORTRAIT.tensors().values(), strict=True))


@pytest.mark.parametrize("mode", ["source", "relative", "absolute"])
@pytest.mark.parametrize("video", [False, True])
def test_wholes_are_those_of_transfer(mode: str, video: bool) -> None:
    source = motion(FRAMES, 9) if video else PORTRAIT
    names = ("rotation", "translation", "scale", "expression")
    wanted = transfer_motion(source, CLIP, CLIP[2:3], dict.fromkeys(names, Mode(mode)))
    result = edited(source, **{n: Channel(mode) for n in names})
    assert all(torch.equal(a, b) for a, b in zip(result.tensors().values(), wanted.tensors().values(), strict=True))


def test_each_attribute_can_come_from_another_clip() -> None:
    result = edited(rotation=Channel("absolute"), scale=Channel("absolute", "other"), expression=Channel("absolute", "other"))
    torch.testing.assert_close(result.rotation, CLIP.rotation)
    torch.testing.assert_close(result.scale, OTHER.scale)
    torch.testing.assert_close(result.expression, OTHER.expression)
    torch.testing.assert_close(result.translation, PORTRAIT.translation.expand(FRAMES, 3))


def test_parts_taken_alike_give_the_whole() -> None:
    """Yaw, pitch and roll of one clip with one amount are that clip's rotation with this amount; so with x and y."""
    part = Channel("relative", "other", amount=1.5)
    whole = edited(rotation=part, translation=part)
    parts = edited(yaw=part, pitch=part, roll=part, x=part, y=part)
    torch.testing.assert_close(parts.rotation, whole.rotation)
    torch.testing.assert_close(parts.translation[:, :2], whole.translation[:, :2])


def test_a_picture_as_clip_is_held() -> None:
    takes = {"": Take(CLIP[1:2], CLIP[1:2])}
    result = edit_motion(PORTRAIT, MotionEdit(expression=Channel("absolute")), takes, TIMES)
    torch.testing.assert_close(result.expression, CLIP.expression[1:2].expand(FRAMES, 6))


def test_regions_come_from_their_own_clips() -> None:
    result = edited(expression=Channel("relative"), mouth=Channel("absolute", "other"))
    assert isinstance(result, RegionalMotion)
    torch.testing.assert_close(result.mouth, OTHER.expression)
    torch.testing.assert_close(result.eyes, result.expression)
    assert not isinstance(edited(expression=Channel("relative")), RegionalMotion)


# ---- amounts --------------------------------------------------------------------------------------------------------
def test_a_multiple_of_a_rotation_goes_along_the_geodesic() -> None:
    still = PORTRAIT.rotation.expand_as(CLIP.rotation)
    once = geodesic_degrees(still, edited(rotation=Channel("relative")).rotation)
    for amount in (0.0, 0.5, 1.5):
        turned = edited(rotation=Channel("relative", amount=amount)).rotation
        torch.testing.assert_close(geodesic_degrees(still, turned), amount * once, rtol=1e-6, atol=1e-5)
        torch.testing.assert_close(turned @ turned.transpose(-1, -2), torch.eye(3).double().expand_as(turned))
    back = edited(rotation=Channel("relative", amount=-1.0)).rotation @ PORTRAIT.rotation[0].T
    forth = edited(rotation=Channel("relative")).rotation @ PORTRAIT.rotation[0].T
    torch.testing.assert_close(back @ forth, torch.eye(3).double().expand_as(back))


def test_amounts_of_the_other_attributes() -> None:
    half = {n: Channel("relative", amount=0.5) for n in ("translation", "scale", "expression")}
    result, reference = edited(**half), CLIP[2:3]
    torch.testing.assert_close(result.translation, PORTRAIT.translation + 0.5 * (CLIP.translation - reference.translation))
    torch.testing.assert_close(result.scale, PORTRAIT.scale * (CLIP.scale / reference.scale).sqrt())
    torch.testing.assert_close(result.expression, PORTRAIT.expression + 0.5 * (CLIP.expression - reference.expression))
    twice = edited(expression=Channel("absolute", amount=2.0), scale=Channel("absolute", amount=2.0))
    torch.testing.assert_close(twice.expression, reference.expression + 2 * (CLIP.expression - reference.expression))
    torch.testing.assert_close(twice.scale, CLIP.scale**2)


def test_a_calmer_source_video() -> None:
    source = motion(FRAMES, 9)
    calm = edited(source, rotation=Channel("source", amount=0.5))
    eye = torch.eye(3).double().expand_as(calm.rotation)
    torch.testing.assert_close(geodesic_degrees(eye, calm.rotation), 0.5 * geodesic_degrees(eye, source.rotation))


def test_amplify_about_itself_changes_nothing() -> None:
    same(amplify(CLIP, CLIP, 3.0), CLIP)
    same(amplify(CLIP, CLIP[2:3], 1.0), CLIP)
    same(amplify(CLIP, CLIP[2:3], torch.zeros(FRAMES)), CLIP[2:3])


# ---- curves ----------------------------------------------------------------------------------------------------------
def test_curves_go_through_their_keys_and_stay_flat_outside() -> None:
    keys = [Key(0.5, 1.0, "in_out"), Key(1.0, 3.0, "hold"), Key(1.5, -1.0)]
    at = torch.tensor([0.0, 0.5, 0.75, 1.0, 1.25, 1.4999, 1.5, 9.0], dtype=torch.float64)
    torch.testing.assert_close(curve(keys, at), torch.tensor([1.0, 1.0, 2.0, 3.0, 3.0, 3.0, -1.0, -1.0], dtype=torch.float64))


@pytest.mark.parametrize(("ease", "quarter"), [("linear", 0.25), ("in", 0.0625), ("out", 0.4375), ("in_out", 0.15625), ("hold", 0.0)])
def test_easings(ease: str, quarter: float) -> None:
    at = torch.tensor([0.0, 0.25, 1.0])
    got = curve([Key(0.0, 0.0, ease), Key(1.0, 1.0)], at)
    assert got.tolist() == pytest.approx([0.0, quarter, 1.0])
    steps = curve([Key(0.0, 0.0, ease), Key(1.0, 1.0)], torch.linspace(0, 1, 50)).diff()
    assert bool((steps >= 0).all())


def test_bad_curves_are_refused() -> None:
    for keys, words in (([], "needs keys"), ([Key(1.0, 0.0), Key(1.0, 1.0)], "do not rise"), ([Key(1.0, 0.0), Key(0.0, 1.0)], "do not rise")):
        with pytest.raises(RecordError, match=words):
            curve(keys, TIMES)
    with pytest.raises(RecordError, match="no easing"):
        curve_of(torch.tensor([0.0]), torch.tensor([0.0]), ["bouncy"], torch.tensor([0.0]))
    with pytest.raises(ValueError, match="ease"):
        Key(0.0, 0.0, "bouncy")


def test_keyframes_are_the_value_or_added_to_another_origin() -> None:
    keys = (Key(0.0, -20.0), Key(2.0, 20.0))
    ramp = torch.linspace(-20, 20, FRAMES, dtype=torch.float64)
    torch.testing.assert_close(angles_of(edited(yaw=Channel("curve", keys=keys)))[:, 0], ramp)
    own = angles_of(PORTRAIT)[:, 0]
    torch.testing.assert_close(angles_of(edited(yaw=Channel("whole", keys=keys, offset=1.0)))[:, 0], own + ramp + 1.0)
    torch.testing.assert_close(edited(scale=Channel("source", keys=(Key(0.0, 0.0), Key(2.0, 0.5)))).scale[-1], 1.5 * PORTRAIT.scale[0])
    wax = edited(expression=Channel("relative", keys=(Key(0.0, 0.0), Key(2.0, 2.0))))
    change = (CLIP.expression - CLIP.expression[2:3]) * torch.linspace(0, 2, FRAMES, dtype=torch.float64)[:, None]
    torch.testing.assert_close(wax.expression, PORTRAIT.expression + change)


# ---- gradients and errors ---------------------------------------------------------------------------------------------
def test_everything_is_differentiable() -> None:
    channel = Channel("relative", amount=1.3)
    edit = MotionEdit(
        rotation=channel, yaw=Channel("whole", offset=5.0), translation=channel, scale=channel, expression=channel, mouth=Channel("absolute")
    )
    parts = [t.clone().requires_grad_() for m in (PORTRAIT, CLIP) for t in m.tensors().values()]

    def function(*tensors: Tensor) -> tuple[Tensor, ...]:
        source, clip = Motion(*tensors[:4]), Motion(*tensors[4:])
        return tuple(edit_motion(source, edit, {"": Take(clip, clip[2:3])}, TIMES).tensors().values())

    outputs = function(*parts)
    total = sum((o * torch.linspace(0.3, 1, o.numel()).view(o.shape)).sum() for o in outputs)
    gradients = torch.autograd.grad(total, parts)
    assert all(bool(torch.isfinite(g).all()) and float(g.abs().sum()) > 0 for g in gradients)


def test_the_gradient_of_a_multiple_is_right() -> None:
    def turned(angle: Tensor) -> Tensor:
        zero = torch.zeros(1, dtype=torch.float64)
        driving = Motion(euler_to_matrix(angle, 0.3 * angle, zero), zero + 1, torch.zeros(1, 3).double(), torch.zeros(1, 6).double())
        return edit_motion(frontal(), MotionEdit(rotation=Channel("relative", amount=0.7)), {"": Take(driving, frontal())}, zero).rotation

    assert torch.autograd.gradcheck(turned, (torch.tensor([0.4], dtype=torch.float64, requires_grad=True),))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: edited(rotation=Channel("constant")), "rotation cannot come from 'constant'"),
        (lambda: edited(scale=Channel("whole")), "scale cannot come from 'whole'"),
        (lambda: edited(mouth=Channel("relative", "missing")), "clip 'missing', but there is none"),
        (lambda: edit_motion(PORTRAIT, MotionEdit(rotation=Channel("relative")), {}, TIMES), "a driving clip, but there is none"),
        (lambda: edited(motion(3, 1)), "source has 3 rows"),
        (lambda: edit_motion(PORTRAIT, MotionEdit(rotation=Channel("absolute")), {"": Take(CLIP[:2], CLIP[:1])}, TIMES), "a clip has 2 rows"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, words: str) -> None:
    with pytest.raises(RecordError, match=words):
        call()


def test_every_attribute_knows_its_origins() -> None:
    assert set(ALLOWED) == set(MotionEdit().channels())
    assert math.isclose(float(edited(scale=Channel("constant", value=-1.0)).scale.min()), 1e-3, rel_tol=1e-6)  # never zero or below


# ---- motion of another system, without expression ----------------------------------------------------------------------
def test_motion_without_expression_moves_the_head_and_leaves_the_face() -> None:
    bare = Motion(CLIP.rotation, CLIP.scale, CLIP.translation, CLIP.expression[:, :0])
    takes = {"": Take(bare, bare[2:3])}
    names = ("rotation", "translation", "scale", "expression")
    result = edit_motion(PORTRAIT, MotionEdit(**{n: Channel("relative", amount=1.5) for n in names}), takes, TIMES)
    torch.testing.assert_close(result.expression, PORTRAIT.expression.expand(FRAMES, 6))
    torch.testing.assert_close(result.rotation, edited(rotation=Channel("relative", amount=1.5)).rotation)
    absolute = edit_motion(PORTRAIT, MotionEdit(rotation=Channel("absolute")), takes, TIMES)
    torch.testing.assert_close(absolute.rotation, CLIP.rotation)
    for name in ("expression", "mouth"):
        with pytest.raises(RecordError, match="holds no expression"):
            edit_motion(PORTRAIT, MotionEdit(**{name: Channel("absolute")}), takes, TIMES)
    with pytest.raises(RecordError, match="holds no expression"):
        transfer_motion(PORTRAIT, bare, bare[:1], {"expression": Mode("absolute")})
    same(transfer_motion(PORTRAIT, bare, bare[2:3]), attrs.evolve(edited(**{n: Channel("relative") for n in names}),
                                                                                   expression=PORTRAIT.expression.expand(FRAMES, 6)))  # fmt: skip


# ---- fields of any motion -----------------------------------------------------------------------------------------------
def test_fields_are_taken_one_by_one() -> None:
    edit = FieldEdit({"translation": Channel("relative", amount=2.0), "expression": Channel("absolute", "other")})
    result = apply_edit(PORTRAIT, edit, TAKES, TIMES, HEAD)
    torch.testing.assert_close(result.translation, PORTRAIT.translation + 2 * (CLIP.translation - CLIP.translation[2:3]))
    torch.testing.assert_close(result.expression, OTHER.expression)
    assert torch.equal(result.rotation, PORTRAIT.rotation.expand(FRAMES, 3, 3))
    assert edit.clips == ("", "other")
    ramp = FieldEdit({"translation": Channel("relative", keys=(Key(0.0, 0.0), Key(2.0, 1.0)))})
    moved = apply_edit(PORTRAIT, ramp, TAKES, TIMES, HEAD).translation - PORTRAIT.translation
    torch.testing.assert_close(moved, torch.linspace(0, 1, FRAMES).double()[:, None] * (CLIP.translation - CLIP.translation[2:3]))


def test_fields_that_are_not_there_are_refused() -> None:
    with pytest.raises(RecordError, match="no field 'points'"):
        apply_edit(PORTRAIT, FieldEdit({"points": Channel()}), {}, TIMES, HEAD)


@pytest.mark.parametrize("name", ["yaw", "amounts", "regions", "curves"])
def test_edits_give_what_they_gave_before_fields_had_laws(name: str) -> None:
    """Numbers of tests/data/before_laws; bit-equal but where a rotation is multiplied."""
    numbers = load_file(Path(__file__).parents[1] / "data" / "before_laws" / "numbers.safetensors")

    def before(of: str, record: type[Motion] = Motion) -> Motion:
        return record(**{field: numbers[f"{of}/{field}"] for field in record.tensor_fields()})

    edits = {
        "yaw": MotionEdit(yaw=Channel("constant", value=12.0)),
        "amounts": MotionEdit(
            rotation=Channel("relative", amount=1.5),
            translation=Channel("absolute", amount=0.5),
            scale=Channel("relative", amount=2.0),
            expression=Channel("relative", amount=0.7),
        ),
        "regions": MotionEdit(expression=Channel("relative"), eyes=Channel("absolute", amount=1.2), mouth=Channel("source")),
        "curves": MotionEdit(
            x=Channel("whole", keys=(Key(0, 0), Key(0.1, 0.2))),
            scale=Channel("source", offset=0.1),
            expression=Channel("relative", keys=(Key(0, 0), Key(0.2, 1))),
        ),
    }
    takes = {"": Take(before("driving"), before("reference"))}
    result = edit_motion(before("one"), edits[name], takes, torch.arange(5).float() / 25)
    wanted = before(f"edit/{name}", RegionalMotion if name == "regions" else Motion)
    assert type(result) is type(wanted)
    for field, value in result.tensors().items():
        if name == "amounts" and field in ("rotation", "scale"):
            torch.testing.assert_close(value, getattr(wanted, field), rtol=1e-5, atol=1e-5)
        else:
            assert torch.equal(value, getattr(wanted, field)), field
