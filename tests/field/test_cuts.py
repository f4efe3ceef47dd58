"""Kind 3: a change of camera is no movement of the head."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from disc_face import Disc
from disc_media import decompose_video, disc_plan, write_clip, write_portrait
from field_media import MAN, WOMAN, pictures, resized, write

from mmfa_components.records import FaceTrack
from mmfa_components.registry import Registry
from pipelines.runs.run import run_plan


def closer(rgb: np.ndarray, zoom: float) -> np.ndarray:
    """A punch-in on the man's face."""
    w, h = round(640 / zoom), round(360 / zoom)
    x, y = round((640 - w) * 0.45), round((360 - h) * 0.4)
    return resized(rgb[y : y + h, x : x + w], 640, 360)


@pytest.mark.parametrize(("zoom", "back"), [(1.5, False), (1.3, True)])
def test_a_punch_in_is_a_cut(tmp_path: Path, follow: Callable[..., FaceTrack], zoom: float, back: bool) -> None:
    man = pictures(MAN, 10)
    near = [closer(a, zoom) for a in man]
    made = near[:5] + man[5:] if back else man[:5] + near[5:]
    track = follow(write(tmp_path / "jump.mp4", made, rate=25))
    assert track.shot.tolist() == [0] * 5 + [1] * 5
    assert not bool(track.person.any())


def test_a_cut_to_somebody_else_is_one_of_person_too(tmp_path: Path, follow: Callable[..., FaceTrack]) -> None:
    made = pictures(MAN, 4) + pictures(WOMAN, 4, 120) + pictures(MAN, 3, 5)
    track = follow(write(tmp_path / "cut.mp4", made, rate=25))
    assert track.shot.tolist() == [0] * 4 + [1] * 4 + [2] * 3
    assert track.person.tolist() == [0] * 4 + [1] * 4 + [0] * 3


def test_whole_clips_of_one_camera_have_no_cuts(tmp_path: Path, follow: Callable[..., FaceTrack]) -> None:
    for path in (MAN, WOMAN):
        track = follow(write(tmp_path / path.name, [resized(f, 320, 180) for f in pictures(path, 144)[::12]], rate=3))
        assert not bool(track.shot.any()), path
        assert not bool(track.person.any()), path


def shots_clip(path: Path) -> Path:
    """Two shots of one disc: from frame 8 on it is half as large again and elsewhere. It turns and smiles on; frames 7, 8 are without it."""
    frames: list[list[Disc]] = []
    for k in range(16):
        yaw, smile = 0.25 * np.sin(k / 2), 0.5 + 0.3 * np.sin(k / 3)
        disc = Disc(60, 60, 20, yaw, smile, 0.5) if k < 8 else Disc(90, 56, 32, yaw, smile, 0.5)
        frames.append([] if k in (7, 8) else [disc])
    return write_clip(path, frames)


@pytest.mark.parametrize("batch", [1, 3])
def test_the_result_of_a_cut_stands_still(tmp_path: Path, registry: Registry, screen: Any, batch: int) -> None:
    clip, portrait = shots_clip(tmp_path / "shots.mp4"), write_portrait(tmp_path / "p.png")
    plan = disc_plan(tmp_path, [portrait], [clip], engine={"batch": batch}, face={"smooth": 0.2}, transfer={"reference": "auto"})
    report = run_plan(plan, registry, screen.console)
    assert report.exit_code == 0, screen.text
    motion = decompose_video(plan.jobs[0].output)
    x, size = motion.translation[:, 0] * 32, motion.scale * 32
    assert (size.max() / size.min() - 1) < 0.1
    assert max(abs(float(b - a)) for a, b in pairwise(x)) < 6.4, "a tenth of the crop's side"


def test_cuts_are_told_and_nothing_is_bridged_across_them(tmp_path: Path, registry: Registry, screen: Any) -> None:
    clip = shots_clip(tmp_path / "shots.mp4")
    report = run_plan(disc_plan(tmp_path, [write_portrait(tmp_path / "p.png")], [clip]), registry, screen.console)
    known = next(i for i in report.inputs if i.kind == "video")
    assert len(known.cuts) == 1
    assert known.cuts[0] in (7, 8, 9)
    assert known.lost == ["7-8"]
    assert known.bridged == []
    job = report.jobs[0]
    assert len(job.references) == 2
    assert job.references[0] < known.cuts[0] <= job.references[1]
    assert screen.text.count("the camera changes at frame") == 1


def test_one_clip_of_one_shot_is_as_before(tmp_path: Path, registry: Registry, screen: Any) -> None:
    from disc_media import swinging

    clip = write_clip(tmp_path / "a.mp4", swinging(12))
    report = run_plan(disc_plan(tmp_path, [write_portrait(tmp_path / "p.png")], [clip]), registry, screen.console)
    known = next(i for i in report.inputs if i.kind == "video")
    assert (known.cuts, known.people, known.follows) == ([], [], False)
    assert report.jobs[0].references == []
    assert "warning" not in screen.text
    assert torch.isfinite(decompose_video(Path(report.jobs[0].output)).scale).all()
