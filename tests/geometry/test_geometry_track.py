"""Gap filling in a stream, smoothing without lag, frame ranges."""

from __future__ import annotations

import pytest
import torch

from mmfa_components.geometry.rotations import euler_to_matrix, geodesic_degrees
from mmfa_components.geometry.track import GapFiller, bridged, ranges_of, runs
from mmfa_components.geometry.transfer import between
from mmfa_components.records import Motion


def turning(frames: int, step: float = 0.1) -> Motion:
    """A head that turns by ``step`` radians a frame and grows by a tenth, while all else grows linearly."""
    index = torch.arange(frames, dtype=torch.float64)
    yaw = step * index
    return Motion(
        rotation=euler_to_matrix(yaw, 0 * yaw, 0 * yaw),
        scale=1.1**index,
        translation=index[:, None] * torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64),
        expression=index[:, None].repeat(1, 4),
    )


def fill(motion: Motion, found: list[bool], max_gap: int, span: int) -> Motion:
    filler: GapFiller[Motion] = GapFiller(max_gap, block=3)
    flags = torch.tensor(found)
    parts = []
    for start in range(0, len(found), span):
        here = flags[start : start + span]
        rows = motion[start : start + span][here]
        if bool(here.any()):
            parts += list(filler.push(rows, here.tolist()))
        else:
            filler.skip(len(here))
    return Motion.concatenate([*parts, *filler.finish()])


def same(a: Motion, b: Motion) -> None:
    assert len(a) == len(b)
    for name, value in a.tensors().items():
        torch.testing.assert_close(value, getattr(b, name), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("span", [1, 2, 3, 5, 12])
def test_short_gaps_of_an_even_movement_come_back_exactly(span: int) -> None:
    motion = turning(12)
    found = [i not in (3, 4, 8) for i in range(12)]
    same(fill(motion, found, 2, span), motion)


@pytest.mark.parametrize("span", [1, 4, 5, 12])
def test_long_gaps_repeat_the_last_motion_and_edges_the_nearest(span: int) -> None:
    motion = turning(12)
    found = [i in (2, 3, 8, 9) for i in range(12)]
    expected = motion[[2, 2, 2, 3, 3, 3, 3, 3, 8, 9, 9, 9]]
    same(fill(motion, found, 3, span), expected)


def test_a_gap_of_exactly_max_gap_is_bridged_and_one_more_is_not() -> None:
    motion = turning(8)
    found = [i in (0, 1, 6, 7) for i in range(8)]
    same(fill(motion, found, 4, 8), motion)
    same(fill(motion, found, 3, 8), motion[[0, 1, 1, 1, 1, 1, 6, 7]])


def test_filling_marks_what_it_made() -> None:
    marks: list[tuple[int, bool]] = []

    def mark(rows: Motion, interpolated: bool) -> Motion:
        marks.append((len(rows), interpolated))
        return rows

    filler: GapFiller[Motion] = GapFiller(2, mark=mark)
    motion = turning(8)
    list(filler.push(motion[[0, 3, 7]], [True, False, False, True, False, False, False, True]))
    assert marks == [(2, True), (3, False)]


def test_nothing_present_gives_nothing() -> None:
    filler: GapFiller[Motion] = GapFiller(2)
    filler.skip(5)
    assert list(filler.finish()) == []


def test_between_takes_the_shortest_arc_at_even_speed() -> None:
    motion = turning(2, step=1.0)
    rows = between(motion[:1], motion[1:], torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))
    steps = geodesic_degrees(motion.rotation[:1].expand(3, 3, 3), rows.rotation)
    torch.testing.assert_close(steps, torch.rad2deg(torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)))


def test_between_has_gradients() -> None:
    motion = turning(2, step=0.5)
    leaves = [t.clone().requires_grad_() for m in (motion[:1], motion[1:]) for t in m.tensors().values()]
    weight = torch.tensor([0.3, 0.6], dtype=torch.float64)

    def run(*t: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(between(Motion(*t[:4]), Motion(*t[4:]), weight).tensors().values())

    assert torch.autograd.gradcheck(run, leaves)


def test_bridged_marks_short_inner_gaps_only() -> None:
    found = torch.tensor([0, 1, 0, 0, 1, 0, 0, 0, 1, 0], dtype=torch.bool)
    assert bridged(found, 2).int().tolist() == [0, 1, 1, 1, 1, 0, 0, 0, 1, 0]
    assert bridged(found, 0).tolist() == found.tolist()


def test_ranges_as_text() -> None:
    flags = torch.tensor([1, 0, 1, 1, 1, 0, 0, 1], dtype=torch.bool)
    assert runs(flags) == [(0, 1), (2, 5), (7, 8)]
    assert ranges_of(flags) == ["0", "2-4", "7"]
    assert ranges_of(torch.zeros(3, dtype=torch.bool)) == []
    assert ranges_of(torch.ones(3, dtype=torch.bool)) == ["0-2"]
