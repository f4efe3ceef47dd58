"""Kind 2: a track is one person, not whoever is near."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from disc_face import Disc
from disc_media import disc_plan, write_clip, write_portrait
from field_media import MAN, WOMAN, farther, pictures, write

from mmfa_components.records import FaceTrack
from mmfa_components.registry import Registry
from pipelines.runs.run import run_plan
from pipelines.stages import sight as sight_stage
from pipelines.stages.associate import FrameSight, Rules, associate


def together(away: range, frames: int) -> list[np.ndarray]:
    made = []
    for k, (m, w) in enumerate(zip(pictures(MAN, frames), pictures(WOMAN, frames), strict=True)):
        left = m[:, 140:460].copy()
        if k in away:
            left[:] = (120, 110, 100)
        made.append(np.concatenate([left, farther(w[:, 300:620], 0.65, 320, 360, 0.5, 0.5)], 1))
    return made


def test_a_person_who_goes_and_comes_back_is_not_exchanged(tmp_path: Path, follow: Callable[..., FaceTrack]) -> None:
    track = follow(write(tmp_path / "two.mp4", together(range(4, 12), 16), rate=25))
    x = track.points[..., 0].mean(1)
    assert (x - 157).abs().max() < 75, "half a face's width"
    assert (~track.found).nonzero().flatten().tolist() == list(range(4, 12))
    assert bool(track.usable.all())
    assert not bool(track.person.any())
    assert not bool(track.shot.any()), "half of the picture changed, the camera did not"


def test_somebody_else_is_followed_after_a_long_absence_and_the_first_one_again(tmp_path: Path, follow: Callable[..., FaceTrack]) -> None:
    track = follow(write(tmp_path / "two.mp4", together(range(3, 12), 15), rate=25), max_gap=4)
    assert track.person.tolist() == [0] * 8 + [1] * 4 + [0] * 3
    assert not bool(track.usable[3:8].any()), "nothing is interpolated from one person to another"


RULES = Rules("largest", 3, 0.5, 0.75, "x.mp4")
EMPTY = torch.zeros(768)


def sight(*faces: tuple[float, float, float, float]) -> FrameSight:
    """Faces of x, size, look, score, at one height."""
    boxes = torch.tensor([[x, 50, x + s, 50 + s] for x, s, _, _ in faces]).view(-1, 4)
    looks = torch.tensor([[v] * 192 for _, _, v, _ in faces]).view(-1, 192)
    return FrameSight(boxes, torch.tensor([s for *_, s in faces]), looks, EMPTY)


def rows(*sights: FrameSight) -> list[int | None]:
    return [choice.row for choice in associate(sights, RULES)]


def test_a_stranger_beside_is_not_taken_for_the_one_who_left() -> None:
    beside = (60.0, 40.0, 0.7, 0.95)
    assert rows(sight((20.0, 50.0, 0.3, 0.9), beside), sight(beside), sight(beside)) == [0, None, None]


def test_a_weak_view_of_the_same_person_goes_on() -> None:
    assert rows(sight((20, 50, 0.3, 0.9)), sight((25, 50, 0.38, 0.6)), sight((200, 50, 0.3, 0.9))) == [0, 0, None]


def test_the_same_person_elsewhere_is_taken_up_after_a_while() -> None:
    nothing = sight()
    assert rows(sight((20, 50, 0.3, 0.9)), *[nothing] * 4, sight((200, 50, 0.32, 0.9))) == [0, *[None] * 4, 0]


def test_a_change_of_person_stands_in_the_report_and_on_the_screen(
    tmp_path: Path, registry: Registry, screen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sight_stage, "LOOK_SCALE", 1.5)  # a disc differs from others in the middle only
    first, second = Disc(45, 60, 24, tint=0.1), Disc(115, 60, 20, tint=1.0, smile=1.0)
    clip = write_clip(tmp_path / "two.mp4", [[first, second]] * 3 + [[second]] * 9)
    report = run_plan(disc_plan(tmp_path, [write_portrait(tmp_path / "p.png")], [clip]), registry, screen.console)
    known = next(i for i in report.inputs if i.kind == "video")
    assert known.people == [9], "after max_gap = 5 frames"
    assert report.jobs[0].lost == ["3-8"]
    assert screen.text.count("another person is followed from frame 9") == 1
