"""Kind 1: faces that are small in their picture, whose weak answer in the whole is not the last word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from field_media import MAN, WOMAN, farther, pictures, write

from mmfa_components.errors import NoFaceError
from mmfa_components.records import FaceTrack
from pipelines.config.schema import Face
from pipelines.stages.track import no_face, track_still
from pipelines.stages.worker import Worker


def boxes(track: FaceTrack) -> torch.Tensor:
    points = track.points[..., :2]
    return torch.cat([points.amin(1), points.amax(1)], 1)


@pytest.mark.parametrize(("width", "height"), [(480, 360), (640, 360), (360, 640)])
@pytest.mark.parametrize("share", [0.10, 0.14, 0.18, 0.21, 0.25])
def test_a_face_of_a_tenth_to_a_quarter_of_the_height_is_found(finder: Worker, width: int, height: int, share: float) -> None:
    man = pictures(MAN, 1)[0]
    factor = share * height / 197  # his face is 197 pixels high, its middle at (296, 206) of 640 x 360
    scene = farther(man, factor, width, height)
    with torch.inference_mode():
        track = track_still(finder, torch.from_numpy(scene), Face(min_score=0.75), Path("scene.png"))
    x0, y0, x1, y1 = boxes(track)[0].tolist()
    wanted = (0.5 * width + (296 - 320) * factor, 0.35 * height + (206 - 180) * factor)
    assert y1 - y0 == pytest.approx(share * height, rel=0.1)
    assert abs((x0 + x1) / 2 - wanted[0]) < 0.1 * share * height
    assert abs((y0 + y1) / 2 - wanted[1]) < 0.1 * share * height


def test_a_person_seen_to_the_waist_is_followed_at_the_defaults(tmp_path: Path, follow: Callable[..., FaceTrack]) -> None:
    scenes = [farther(f, 0.21 * 360 / 197, 640, 360) for f in pictures(MAN, 4)]
    assert bool(follow(write(tmp_path / "half_body.mp4", scenes)).found.all())


def test_the_advice_for_weak_faces_is_one_that_helps() -> None:
    error = no_face(Path("a.mp4"), "video", weak=0.62)
    score = float(error.fix.split()[3])
    assert (1 + score) / 2 <= 0.62, "a track starts at this score"
    assert "min_score" not in no_face(Path("a.mp4"), "video").fix


def test_no_face_stays_no_face(finder: Worker) -> None:
    wall = torch.full((360, 640, 3), 120, dtype=torch.uint8)
    wall[100:200] = torch.randint(0, 255, (100, 640, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    with pytest.raises(NoFaceError, match="no face was found"), torch.inference_mode():
        track_still(finder, wall, Face(), Path("wall.png"))


def test_two_small_faces_are_two(finder: Worker) -> None:
    from mmfa_components.records import Frames

    man, woman = (farther(pictures(p, 1)[0], 0.36, 320, 360) for p in (MAN, WOMAN))
    both = torch.cat([torch.from_numpy(man), torch.from_numpy(woman)], 1)
    with torch.inference_mode():
        faces = finder.components.detector(Frames(both[None].permute(0, 3, 1, 2).float() / 255))
    assert sorted(int(x // 320) for x in faces.boxes[:, ::2].mean(1)) == [0, 1]
