"""Kind 4: a head that travels farther than its square keeps its size and its way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from disc_face import Disc
from disc_media import decompose_video, disc_plan, write_clip, write_portrait

from mmfa_components.geometry.placing import placed
from mmfa_components.records import FaceTrack, Motion
from mmfa_components.registry import Registry
from pipelines.runs.run import run_plan
from pipelines.stages.crop import stable_square
from pipelines.stages.framing import Framing, frame_clip


def track_of(boxes: torch.Tensor, shot: torch.Tensor | None = None, found: torch.Tensor | None = None) -> FaceTrack:
    """A track whose faces fill these boxes (N, 4)."""
    n = len(boxes)
    points = torch.stack([torch.cat([boxes[:, :2], torch.zeros(n, 1)], 1), torch.cat([boxes[:, 2:], torch.zeros(n, 1)], 1)], 1)
    yes = torch.ones(n, dtype=torch.bool) if found is None else found
    zero = torch.zeros(n, dtype=torch.long)
    return FaceTrack(yes, yes, points, torch.ones(n), torch.zeros(n, 4), zero if shot is None else shot, zero)


def boxes_at(x: torch.Tensor, size: torch.Tensor | float = 100.0) -> torch.Tensor:
    half = torch.as_tensor(size).expand_as(x) / 2
    return torch.stack([x - half, 300 - half, x + half, 300 + half], 1)


def frame(track: FaceTrack, **options: Any) -> Framing:
    return frame_clip(track.spans(7), 0.58, 2000, 1000, **options)


def test_at_rest_there_is_one_square_and_it_is_that_of_before() -> None:
    boxes = boxes_at(400 + 10 * torch.randn(60, generator=torch.Generator().manual_seed(0)))
    framing = frame(track_of(boxes))
    assert torch.equal(framing.squares, stable_square(boxes, 0.58).expand(60, 4))
    assert torch.equal(framing.base, framing.squares)
    assert torch.equal(framing.view, framing.squares)
    assert not framing.moves


@pytest.mark.parametrize("far", [300.0, 1200.0])
def test_the_square_goes_along_with_a_head_that_travels(far: float) -> None:
    x = torch.linspace(200, 200 + far, 40)
    framing = frame(track_of(boxes_at(x)))
    assert framing.moves
    torch.testing.assert_close(framing.squares[:, 2], torch.full((40,), 100 / 0.58))
    torch.testing.assert_close(framing.squares[:, 0], x, atol=1.0, rtol=0)
    assert len(framing.base.unique(dim=0)) == 1


def test_the_square_grows_with_a_head_that_comes_near() -> None:
    size = torch.logspace(1.7, 2.6, 60)  # 50 to 400 pixels
    framing = frame(track_of(boxes_at(torch.full((60,), 900.0), size)))
    share = size / framing.squares[:, 2]
    assert (share.min(), share.max()) > (0.5, 0.5)
    assert share.max() < 0.7


def test_frames_without_a_face_lie_on_the_way() -> None:
    x = torch.linspace(200, 1400, 40)
    found = torch.ones(40, dtype=torch.bool)
    found[10:20] = False
    framing = frame(track_of(boxes_at(x), found=found))
    torch.testing.assert_close(framing.squares[:, 0], x, atol=1.0, rtol=0)


def test_every_shot_has_its_own_square() -> None:
    boxes = torch.cat([boxes_at(torch.full((10,), 300.0)), boxes_at(torch.full((10,), 900.0), 200.0)])
    shot = torch.tensor([0] * 10 + [1] * 10)
    framing = frame(track_of(boxes, shot))
    assert framing.cuts == (10,)
    assert not framing.moves
    for part in (slice(0, 10), slice(10, 20)):
        assert torch.equal(framing.squares[part], stable_square(boxes[part], 0.58).expand(10, 4))


def test_motion_through_one_square_is_told_as_another_sees_it() -> None:
    g = torch.Generator().manual_seed(1)
    motion = Motion(torch.eye(3).expand(5, 3, 3), torch.rand(5, generator=g) + 0.5, torch.randn(5, 3, generator=g), torch.zeros(5, 2))
    seen = torch.tensor([[100.0, 50.0, 80.0, 0.0]]).repeat(5, 1) + torch.arange(5.0)[:, None] * torch.tensor([4.0, 1.0, 2.0, 0.0])
    told = seen[:1].repeat(5, 1)
    moved = placed(motion, seen, told)
    assert torch.equal(moved.scale[0], motion.scale[0])
    in_picture = seen[:, :2] + motion.translation[:, :2] * seen[:, 2:3] / 2
    torch.testing.assert_close(told[:, :2] + moved.translation[:, :2] * told[:, 2:3] / 2, in_picture)
    torch.testing.assert_close(moved.scale * told[:, 2], motion.scale * seen[:, 2])
    back = placed(moved, told, seen)
    torch.testing.assert_close(back.translation, motion.translation)
    assert placed(motion, seen, seen) is motion


def test_a_result_walks_as_far_as_its_clip_and_does_not_breathe(tmp_path: Path, registry: Registry, screen: Any) -> None:
    frames = [[Disc(60 + 3 * k, 60, 20, tint=0.5)] for k in range(24)]  # 69 pixels, 1.7 times its size
    clip = write_clip(tmp_path / "walk.mp4", frames, width=240)
    plan = disc_plan(tmp_path, [write_portrait(tmp_path / "p.png")], [clip], transfer={"reference": 12}, output={"quality": 1})
    report = run_plan(plan, registry, screen.console)
    assert report.exit_code == 0, screen.text
    motion = decompose_video(plan.jobs[0].output)
    inside = motion.translation[:, 0].abs() + motion.scale < 1  # the disc is whole in the crop
    x, size = motion.translation[inside, 0], 2 * motion.scale[inside]
    assert int(inside.sum()) >= 6
    assert (size.max() / size.min() - 1) < 0.05
    assert bool((x.diff() > 0).all())
    way = float((x[-1] - x[0]) / size.median()) / (int(inside.sum()) - 1)
    assert way == pytest.approx(3 / 40, rel=0.15)
    assert screen.text.count("the crop goes along with it") == 1


def test_a_source_that_travels_is_pasted_where_it_is(tmp_path: Path, registry: Registry, screen: Any) -> None:
    from pipelines.media import open_video

    frames = [[Disc(60 + 6 * k, 60, 20, tint=0.5)] for k in range(12)]
    source = write_clip(tmp_path / "walk.mp4", frames, width=240)
    still = write_clip(tmp_path / "still.mp4", [[Disc(80, 60, 20)]] * 12)
    plan = disc_plan(tmp_path, [source], [still], output={"frame": "paste", "quality": 1})
    report = run_plan(plan, registry, screen.console)
    assert report.exit_code == 0, screen.text
    with open_video(plan.jobs[0].output) as reader:
        rgb = torch.cat([span.rgb for span in reader.spans(16)]).float()
    red = (rgb[..., 0] > 128).float()
    x = (red.sum(1) * (torch.arange(240) + 0.5)).sum(1) / red.sum((1, 2))
    torch.testing.assert_close(x, torch.tensor([60.0 + 6 * k for k in range(12)]), atol=1.5, rtol=0)


def test_squares_go_along_only_where_they_may() -> None:
    x = torch.linspace(200, 1400, 40)
    framing = frame(track_of(boxes_at(x)), placeable=False)
    assert not framing.moves
    assert attrs.asdict(framing)["cuts"] == ()
