"""The laws of motion: what each promises, on values of any shape, with gradients."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from mmfa_components.errors import RecordError
from mmfa_components.geometry.laws import RULES, window_mean
from mmfa_components.geometry.rotations import euler_to_matrix, geodesic_degrees, vector_rotation
from mmfa_components.geometry.transfer import Mode, amplify, between, steadied, transfer_motion
from mmfa_components.records import (
    ADDED,
    HEAD,
    HELD,
    LINEAR,
    MULTIPLIED,
    TURNED,
    Law,
    Motion,
    MotionKind,
    Record,
    RegionalMotion,
    Term,
    tensor,
)

BEFORE = Path(__file__).parents[1] / "data" / "before_laws"
CHANGING = (ADDED, MULTIPLIED, TURNED, LINEAR)
SHAPES = {ADDED: (4, 3), MULTIPLIED: (2,), TURNED: (3, 3), LINEAR: (2, 2, 2), HELD: (3,)}


def values(law: Law, rows: int, seed: int) -> Tensor:
    """Values (rows, ...) that may follow a law: positive scales, rotations of up to half a turn, invertible matrices."""
    g = torch.Generator().manual_seed(seed)
    noise = torch.randn(rows, *SHAPES[law], generator=g, dtype=torch.float64)
    if law is MULTIPLIED:
        return (0.5 * noise).exp()
    if law is TURNED:
        return vector_rotation(0.8 * torch.randn(rows, 3, generator=g, dtype=torch.float64).clamp(-1.5, 1.5))
    if law is LINEAR:
        return torch.eye(2, dtype=torch.float64) + 0.2 * noise.clamp(-1.5, 1.5)
    return noise


laws = st.sampled_from(list(Law))
seeds = st.integers(0, 2**31)
cases = settings(max_examples=40, deadline=None, derandomize=True)


@cases
@given(laws, seeds)
def test_a_still_clip_leaves_the_source_as_it_is(law: Law, seed: int) -> None:
    source, driving = values(law, 1, seed), values(law, 1, seed + 1)
    torch.testing.assert_close(RULES[law].carried(source, driving, driving), source)


@cases
@given(st.sampled_from(CHANGING), seeds)
def test_a_source_equal_to_the_reference_moves_as_the_clip(law: Law, seed: int) -> None:
    driving, reference = values(law, 5, seed), values(law, 1, seed + 1)
    torch.testing.assert_close(RULES[law].carried(reference, driving, reference), driving)


@cases
@given(laws, seeds)
def test_between_begins_and_ends_at_the_ends(law: Law, seed: int) -> None:
    left, right = values(law, 3, seed), values(law, 3, seed + 1)
    zero, one = (torch.full((3,), w, dtype=torch.float64) for w in (0.0, 1.0))
    torch.testing.assert_close(RULES[law].between(left, right, zero), left)
    torch.testing.assert_close(RULES[law].between(left, right, one), left if law is HELD else right)


@cases
@given(laws, seeds, st.integers(1, 4))
def test_the_mean_of_a_constant_is_the_constant(law: Law, seed: int, radius: int) -> None:
    still = values(law, 1, seed).expand(9, *SHAPES[law])
    torch.testing.assert_close(RULES[law].averaged(still, radius), still, rtol=1e-5, atol=1e-5)


@cases
@given(laws, seeds)
def test_distances_are_zero_to_itself_and_alike_both_ways(law: Law, seed: int) -> None:
    a, b = values(law, 6, seed), values(law, 6, seed + 1)
    distance = RULES[law].distance
    assert distance(a, b).shape == (6,)
    torch.testing.assert_close(distance(a, a), torch.zeros_like(distance(a, a)), atol=1e-5, rtol=0)
    torch.testing.assert_close(distance(a, b), distance(b, a))
    assert bool((distance(a, b) > 0).all())


@cases
@given(st.sampled_from(CHANGING), seeds)
def test_the_neutral_value_changes_nothing(law: Law, seed: int) -> None:
    """Driving from neutral to a value, a neutral source takes that value; what is neutral is at distance 0 from itself."""
    driving = values(law, 4, seed)
    neutral = RULES[law].neutral(driving)
    torch.testing.assert_close(RULES[law].carried(neutral, driving, neutral), driving)


@cases
@given(st.sampled_from(CHANGING), seeds, st.integers(1, 6))
def test_a_clip_may_be_cut_anywhere(law: Law, seed: int, cut: int) -> None:
    source, driving, reference = values(law, 7, seed), values(law, 7, seed + 1), values(law, 1, seed + 2)
    whole = RULES[law].carried(source, driving, reference)
    parts = [RULES[law].carried(source[p], driving[p], reference) for p in (slice(cut), slice(cut, None))]
    torch.testing.assert_close(whole, torch.cat(parts))


@pytest.mark.parametrize("law", CHANGING)
def test_every_law_has_gradients(law: Law) -> None:
    leaves = [values(law, 2, seed).requires_grad_() for seed in (1, 2, 3)]
    weight = torch.tensor([0.3, 1.4], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(RULES[law].carried, leaves)
    assert torch.autograd.gradcheck(RULES[law].between, (*leaves[:2], weight))
    if law is not TURNED:  # the projection onto rotations has its own tests, in float32
        assert torch.autograd.gradcheck(lambda x: RULES[law].averaged(x, 1), values(law, 4, 5).requires_grad_())


def test_values_by_hand() -> None:
    half = torch.tensor([0.5])
    assert RULES[MULTIPLIED].between(torch.tensor([1.0]), torch.tensor([4.0]), half).item() == pytest.approx(2.0)
    assert RULES[MULTIPLIED].averaged(torch.tensor([1.0, 2.0, 4.0]), 1)[1].item() == pytest.approx(2.0)
    assert RULES[MULTIPLIED].carried(torch.tensor(3.0), torch.tensor(4.0), torch.tensor(2.0)).item() == 6.0
    quarter = euler_to_matrix(torch.tensor([0.0]), torch.tensor([0.0]), torch.tensor([torch.pi / 2]))
    turned = RULES[TURNED].between(torch.eye(3)[None], quarter, half)
    assert geodesic_degrees(torch.eye(3)[None], turned).item() == pytest.approx(45.0, abs=1e-3)
    scale, shear = torch.tensor([[[2.0, 0.0], [0.0, 2.0]]]), torch.tensor([[[1.0, 1.0], [0.0, 1.0]]])
    assert RULES[LINEAR].carried(torch.eye(2)[None], shear, scale).tolist() == [[[0.5, 0.5], [0.0, 0.5]]]  # d r^-1 s
    mask = torch.tensor([True, False])
    assert torch.equal(RULES[HELD].carried(mask, ~mask, mask), mask)


# ---- averages ------------------------------------------------------------------------------------------------------
def test_smoothing_has_no_lag_and_keeps_lines_and_constants() -> None:
    line = torch.arange(10, dtype=torch.float64)[:, None] * torch.tensor([1.0, -2.0], dtype=torch.float64)
    torch.testing.assert_close(window_mean(line, 3), line)
    peak = torch.zeros(21, dtype=torch.float64)
    peak[10] = 1.0
    steady = window_mean(peak, 4)
    assert int(steady.argmax()) == 10
    torch.testing.assert_close(steady, steady.flip(0))
    torch.testing.assert_close(steady.sum(), torch.tensor(1.0, dtype=torch.float64))


def test_smoothing_takes_noise_away() -> None:
    noise = torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
    assert window_mean(noise, 4).std() < 0.5 * noise.std()
    assert window_mean(noise, 0) is noise


def test_smoothed_rotations_are_rotations() -> None:
    g = torch.Generator().manual_seed(0)
    jitter = 0.1 * torch.randn(3, 50, generator=g, dtype=torch.float64)
    steady = RULES[TURNED].averaged(euler_to_matrix(*jitter), 5)
    torch.testing.assert_close(torch.linalg.det(steady), torch.ones(50, dtype=torch.float64), atol=1e-5, rtol=0)
    still = torch.eye(3, dtype=torch.float64).expand(50, 3, 3)
    assert geodesic_degrees(still, steady).mean() < 0.6 * geodesic_degrees(still, euler_to_matrix(*jitter)).mean()


# ---- fields and records --------------------------------------------------------------------------------------------
@attrs.frozen(eq=False)
class PointMotion(Record):
    """Points (N, K, 2) with Jacobians (N, K, 2, 2), and a mask (N,) that is held."""

    points: Tensor = tensor("N", "K", 2)
    jacobians: Tensor = tensor("N", "K", 2, 2, law=LINEAR)
    seen: Tensor = tensor("N", dtype="bool")


def points(rows: int, seed: int) -> PointMotion:
    jacobians = values(LINEAR, rows, seed)
    return PointMotion(values(ADDED, rows, seed + 1)[..., :2, :2].contiguous(), jacobians, torch.ones(rows, dtype=torch.bool))


def test_a_field_says_its_law_and_the_fingerprint_does_not_change() -> None:
    assert Motion.laws() == {"rotation": TURNED, "scale": MULTIPLIED, "translation": ADDED, "expression": ADDED}
    assert PointMotion.laws() == {"points": ADDED, "jacobians": LINEAR, "seen": HELD}
    kept = json.loads((BEFORE / "keys.json").read_text())["fingerprints"]
    assert {c.__name__: c.fingerprint() for c in (Motion, RegionalMotion)} == kept


def test_laws_that_a_field_cannot_follow_are_refused() -> None:
    with pytest.raises(ValueError, match="only float fields"):
        tensor("N", dtype="int", law=ADDED)
    with pytest.raises(ValueError, match="only rotations"):
        tensor("N", 2, 2, law=TURNED)


def test_first_order_motion_transfers_by_its_own_rule() -> None:
    """FOMM's relative transfer: points by their difference, Jacobians by J_d J_r^-1 J_s."""
    source, driving, reference = points(1, 1), points(4, 2), points(1, 3)
    result = transfer_motion(source, driving, reference)
    torch.testing.assert_close(result.points, source.points + driving.points - reference.points)
    wanted = driving.jacobians @ torch.linalg.inv(reference.jacobians) @ source.jacobians
    torch.testing.assert_close(result.jacobians, wanted)
    assert isinstance(result, PointMotion)
    twice = transfer_motion(source, driving, reference, {"points": Mode("relative", 2.0), "jacobians": Mode("source")})
    torch.testing.assert_close(twice.points, source.points + 2 * (driving.points - reference.points))
    torch.testing.assert_close(twice.jacobians, source.jacobians.expand(4, -1, -1, -1))


def test_amounts_of_absolute_fields_are_about_the_reference_or_about_neutral() -> None:
    source, driving, reference = points(1, 1), points(4, 2), points(1, 3)
    modes = {"points": Mode("absolute", 0.5)}
    about_reference = transfer_motion(source, driving, reference, modes).points
    torch.testing.assert_close(about_reference, (driving.points + reference.points) / 2)
    about_neutral = transfer_motion(source, driving, reference, modes, zeroed=("points",)).points
    torch.testing.assert_close(about_neutral, driving.points / 2)


def test_records_are_interpolated_and_amplified_field_by_field() -> None:
    left, right = points(1, 1), points(1, 2)
    middle = between(left, right, torch.tensor([0.5], dtype=torch.float64))
    torch.testing.assert_close(middle.points, (left.points + right.points) / 2)
    assert torch.equal(middle.seen, left.seen)
    far = amplify(right, left, 3.0)
    torch.testing.assert_close(far.points - left.points, 3 * (right.points - left.points))


def test_a_kind_of_motion_names_fields_that_are_there() -> None:
    kind = MotionKind(PointMotion, smooth=("points",), reference=(Term("points"),))
    assert kind.fields == ("points", "jacobians", "seen")
    assert [panel.title for panel in kind.shown()] == ["points", "jacobians"]
    for wrong in ({"smooth": ("pionts",)}, {"reference": (Term("head"),)}, {"feature": "code"}):
        with pytest.raises(RecordError, match="has no field"):
            MotionKind(PointMotion, **wrong)
    with pytest.raises(RecordError, match="cannot be edited"):
        MotionKind(PointMotion, edits="head")


# ---- numbers recorded before fields had laws (tests/data/before_laws) ------------------------------------------------
NUMBERS = load_file(BEFORE / "numbers.safetensors")


def before(name: str, record: type[Motion] = Motion) -> Motion:
    return record(**{field: NUMBERS[f"{name}/{field}"] for field in record.tensor_fields()})


@pytest.mark.parametrize("source", ["one", "many"])
def test_transfer_gives_the_same_bits_as_before(source: str) -> None:
    names = sorted({key.split("/")[2] for key in NUMBERS if key.startswith(f"transfer/{source}/")})
    assert len(names) == 81
    for name in names:
        modes = dict(zip(HEAD.fields, map(Mode, name.split("-")), strict=True))
        result = transfer_motion(before(source), before("driving"), before("reference"), modes, HEAD.zeroed)
        wanted = before(f"transfer/{source}/{name}")
        assert all(torch.equal(a, b) for a, b in zip(result.tensors().values(), wanted.tensors().values(), strict=True)), name


def test_steadying_gives_the_same_bits_as_before_but_for_the_scale() -> None:
    """Scales are averaged geometrically now; the others as before."""
    steady, wanted = steadied(before("long"), HEAD.smooth, 3), before("steadied")
    assert torch.equal(steady.rotation, wanted.rotation)
    assert torch.equal(steady.translation, wanted.translation)
    assert torch.equal(steady.expression, wanted.expression)
    assert float((steady.scale / wanted.scale - 1).abs().max()) < 0.05
