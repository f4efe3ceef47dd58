"""Transfer of motion: each mode by its formula, identities that must hold, gradients, shapes, choice of the reference."""

from __future__ import annotations

import pytest
import torch

from mmfa_components.errors import RecordError
from mmfa_components.geometry.openings import mouth_opening, openings
from mmfa_components.geometry.rotations import euler_to_matrix, rotate_in_plane
from mmfa_components.geometry.transfer import Mode, choose_reference, reference_cost, transfer_motion
from mmfa_components.records import HEAD, Motion


def motion(frames: int, seed: int = 0, width: int = 5, dtype: torch.dtype = torch.float64) -> Motion:
    g = torch.Generator().manual_seed(seed)
    angles = (torch.rand(3, frames, generator=g, dtype=dtype) - 0.5) * 1.2
    return Motion(
        rotation=euler_to_matrix(*angles),
        scale=torch.rand(frames, generator=g, dtype=dtype) + 0.5,
        translation=torch.rand(frames, 3, generator=g, dtype=dtype) - 0.5,
        expression=torch.randn(frames, width, generator=g, dtype=dtype),
    )


def same(a: Motion, b: Motion) -> None:
    for name, value in a.tensors().items():
        torch.testing.assert_close(value, getattr(b, name))


def test_driving_at_its_reference_leaves_the_source_as_it_is() -> None:
    source, driving = motion(1, 1), motion(6, 2)
    result = transfer_motion(source, driving[3:4], driving[3:4])
    same(result, source)


def test_a_source_equal_to_the_reference_gets_the_driving_motion_itself() -> None:
    driving = motion(6, 2)
    same(transfer_motion(driving[2:3], driving, driving[2:3]), driving)


def test_relative_turns_in_the_viewers_frame() -> None:
    """Rotating the driver's image in its plane by an angle must roll the result by the same angle, whatever the source's pose."""
    source, reference = motion(1, 3), motion(1, 4)
    angle = torch.tensor([0.3], dtype=torch.float64)
    turned = Motion(rotate_in_plane(reference.rotation, angle), reference.scale, reference.translation, reference.expression)
    result = transfer_motion(source, turned, reference)
    torch.testing.assert_close(result.rotation, rotate_in_plane(source.rotation, angle))


def test_relative_scale_is_a_ratio_and_the_rest_differences() -> None:
    source, driving, reference = motion(1, 1), motion(4, 2), motion(1, 3)
    result = transfer_motion(source, driving, reference)
    torch.testing.assert_close(result.scale / source.scale, driving.scale / reference.scale)
    torch.testing.assert_close(result.translation - source.translation, driving.translation - reference.translation)
    torch.testing.assert_close(result.expression - source.expression, driving.expression - reference.expression)
    identity = result.rotation @ result.rotation.transpose(-1, -2)
    torch.testing.assert_close(identity, torch.eye(3, dtype=torch.float64).expand_as(identity))


@pytest.mark.parametrize("attribute", ["rotation", "scale", "translation", "expression"])
@pytest.mark.parametrize("mode", ["absolute", "source"])
def test_each_attribute_has_its_own_mode(attribute: str, mode: str) -> None:
    source, driving, reference = motion(1, 1), motion(4, 2), motion(1, 3)
    plain = transfer_motion(source, driving, reference)
    result = transfer_motion(source, driving, reference, {attribute: Mode(mode)})
    expected = getattr(driving if mode == "absolute" else source, attribute)
    torch.testing.assert_close(getattr(result, attribute), expected.expand_as(getattr(result, attribute)))
    for other in {"rotation", "scale", "translation", "expression"} - {attribute}:
        torch.testing.assert_close(getattr(result, other), getattr(plain, other))


def test_a_video_source_pairs_frame_with_frame_and_a_batch_equals_its_rows() -> None:
    source, driving, reference = motion(4, 1), motion(4, 2), motion(1, 3)
    whole = transfer_motion(source, driving, reference)
    rows = [transfer_motion(source[i : i + 1], driving[i : i + 1], reference) for i in range(4)]
    same(whole, Motion.concatenate(rows))


def test_wrong_lengths_and_widths_are_refused() -> None:
    with pytest.raises(RecordError, match="source has 3 rows"):
        transfer_motion(motion(3), motion(4), motion(1))
    with pytest.raises(RecordError, match="different animators"):
        transfer_motion(motion(1, width=4), motion(4), motion(1))
    with pytest.raises(ValueError, match="origin"):
        Mode("sideways")
    with pytest.raises(RecordError, match="did you mean 'rotation'"):
        transfer_motion(motion(1), motion(4), motion(1), {"rotaton": Mode()})


def test_gradients() -> None:
    source, driving, reference = motion(1, 1), motion(2, 2), motion(1, 3)
    leaves = [t.clone().requires_grad_() for m in (source, driving, reference) for t in m.tensors().values()]

    def run(*t: torch.Tensor) -> tuple[torch.Tensor, ...]:
        result = transfer_motion(Motion(*t[:4]), Motion(*t[4:8]), Motion(*t[8:]))
        return tuple(result.tensors().values())

    assert torch.autograd.gradcheck(run, leaves)


def clip_with_one_neutral_frame(neutral: int = 7, frames: int = 20) -> Motion:
    g = torch.Generator().manual_seed(0)
    yaw = 0.5 + 0.1 * torch.rand(frames, generator=g)
    expression = torch.randn(frames, 6, generator=g)
    yaw[neutral], expression[neutral] = 0.02, 0.0
    zero = torch.zeros(frames)
    return Motion(euler_to_matrix(yaw, zero, zero), torch.ones(frames), torch.zeros(frames, 3), expression)


def test_the_neutral_frontal_frame_is_chosen() -> None:
    assert choose_reference(clip_with_one_neutral_frame(), HEAD) == 7


def test_frames_that_are_not_usable_are_never_chosen() -> None:
    clip = clip_with_one_neutral_frame()
    usable = torch.ones(20, dtype=torch.bool)
    usable[7] = False
    assert choose_reference(clip, HEAD, usable) != 7
    assert reference_cost(clip, HEAD, usable)[7] == torch.inf
    assert choose_reference(clip, HEAD, torch.zeros(20, dtype=torch.bool)) == 0


def test_a_closed_mouth_decides_between_equals() -> None:
    still = Motion(torch.eye(3).expand(4, 3, 3), torch.ones(4), torch.zeros(4, 3), torch.zeros(4, 3))
    assert choose_reference(still, HEAD, mouth=torch.tensor([0.3, 0.2, 0.0, 0.1])) == 2


def test_outliers_do_not_move_the_choice() -> None:
    clip = clip_with_one_neutral_frame()
    wild = clip.expression.clone()
    wild[[1, 2, 3]] = 1e4
    assert choose_reference(Motion(clip.rotation, clip.scale, clip.translation, wild), HEAD) == 7


def test_mouth_opening_is_a_share_of_the_face_height() -> None:
    points = torch.zeros(2, 478, 3)
    points[:, 0, 1] = 100.0
    points[1, 14, 1] = 10.0
    torch.testing.assert_close(mouth_opening(points), torch.tensor([0.0, 0.1]))
    torch.testing.assert_close(mouth_opening(3 * points), mouth_opening(points))
    assert mouth_opening(torch.rand(2, 68, 3)).tolist() == [0.0, 0.0]


def test_openings_are_mouth_and_the_mean_of_both_eyes() -> None:
    points = torch.zeros(1, 478, 2)
    points[:, 0, 1] = 100.0
    points[:, 14, 1], points[:, 145, 1], points[:, 374, 1] = 20.0, 10.0, 6.0
    torch.testing.assert_close(openings(points), torch.tensor([[0.2, 0.08]]))
