"""Tracking a disc through clips: found, bridged and lost frames, choice among several faces, one stable crop."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
import torch
from disc_face import Disc, disc_registry
from disc_media import disc_plan, swinging, write_clip, write_portrait

from mmfa_components.errors import NoFaceError
from mmfa_components.records import FaceTrack
from pipelines.config.schema import Face
from pipelines.media import probe
from pipelines.stages.components import build_components
from pipelines.stages.crop import RISE, crop_frames, crop_landmarks, face_boxes, stable_square
from pipelines.stages.encode import StillUnit, encode_still
from pipelines.stages.track import TrackUnit, track_clip
from pipelines.stages.worker import Worker


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Worker:
    plan = disc_plan(tmp_path_factory.mktemp("plan"), [], [])
    return Worker(build_components(plan.pipeline, disc_registry()), batch=4)


def track(worker: Worker, path: Path, **options: object) -> FaceTrack:
    info = probe(path)
    face = Face(**{"max_gap": 5, **options})  # type: ignore[arg-type]
    steps = list(track_clip(worker, TrackUnit(path, face, info.width, info.height)))
    rows = [row for step in steps for row in step.rows]
    assert [t for step in steps for t in step.pts] == sorted({t for step in steps for t in step.pts})
    return FaceTrack.concatenate(rows)


def centres(rows: FaceTrack) -> torch.Tensor:
    return rows.points[..., :2].mean(1)


def test_a_moving_face_is_followed(worker: Worker, tmp_path: Path) -> None:
    frames = swinging(30)
    rows = track(worker, write_clip(tmp_path / "a.mp4", frames))
    assert len(rows) == 30
    assert bool(rows.found.all())
    assert bool(rows.usable.all())
    expected = torch.tensor([[f[0].x, f[0].y] for f in frames])
    assert (centres(rows) - expected).abs().max() < 0.6


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_the_track_does_not_depend_on_the_batch(worker: Worker, tmp_path: Path, batch: int) -> None:
    frames = swinging(20)
    frames[7] = frames[8] = []
    path = write_clip(tmp_path / "a.mp4", frames)
    other = Worker(worker.components, batch)
    for name, value in track(worker, path).tensors().items():
        assert torch.equal(value, getattr(track(other, path), name)), name


def test_short_gaps_are_bridged_in_place_and_long_ones_reported(worker: Worker, tmp_path: Path) -> None:
    frames = [[Disc(40 + 2 * i, 60, 20)] for i in range(40)]
    for i in [*range(5, 10), *range(20, 26), 39]:
        frames[i] = []
    rows = track(worker, write_clip(tmp_path / "a.mp4", frames))
    assert (~rows.found).nonzero().flatten().tolist() == [*range(5, 10), *range(20, 26), 39]
    assert (~rows.usable).nonzero().flatten().tolist() == [*range(20, 26), 39]
    expected = torch.tensor([[40.0 + 2 * i, 60.0] for i in range(5, 10)])
    assert (centres(rows)[5:10] - expected).abs().max() < 1.0
    assert torch.equal(centres(rows)[20:26], centres(rows)[19:20].expand(6, 2))
    assert (rows.presence[~rows.found] == 0).all()


def test_frames_before_the_first_face_repeat_it(worker: Worker, tmp_path: Path) -> None:
    rows = track(worker, write_clip(tmp_path / "a.mp4", [[], [], *swinging(6)]))
    assert rows.usable.tolist() == [False, False, *[True] * 6]
    assert torch.equal(rows.points[0], rows.points[2])


def test_no_face_names_the_file(worker: Worker, tmp_path: Path) -> None:
    with pytest.raises(NoFaceError, match=r"empty\.mp4.*no face"):
        track(worker, write_clip(tmp_path / "empty.mp4", [[]] * 5))
    image = tmp_path / "blank.png"
    write_portrait(image, Disc(-100, -100, 5))
    with pytest.raises(NoFaceError, match=r"blank\.png.*no face was found in this image"):
        encode_still(worker, StillUnit(image, Face()))


CROWD = [[Disc(35, 60, 14, tint=0.1), Disc(85 + i, 60, 24, tint=0.5), Disc(140, 60, 10, tint=0.9)] for i in range(6)]


@pytest.mark.parametrize(("select", "x"), [("largest", 85.0), (0, 35.0), (1, 85.0), (2, 140.0)])
def test_one_of_several_faces(worker: Worker, tmp_path: Path, select: str | int, x: float) -> None:
    rows = track(worker, write_clip(tmp_path / "crowd.mp4", CROWD), select=select)
    assert abs(float(centres(rows)[0, 0]) - x) < 1.0
    assert bool(rows.found.all())


def test_a_face_that_does_not_exist_is_an_error(worker: Worker, tmp_path: Path) -> None:
    with pytest.raises(NoFaceError, match=r"crowd\.mp4: face 3 was asked for, but frame 0 shows 3 faces") as caught:
        track(worker, write_clip(tmp_path / "crowd.mp4", CROWD), select=3)
    assert "0 (leftmost) to 2" in caught.value.fix


def test_an_only_face_is_taken_whatever_the_index(worker: Worker, tmp_path: Path) -> None:
    assert bool(track(worker, write_clip(tmp_path / "a.mp4", swinging(3)), select=1).found.all())


def test_the_track_stays_with_its_face_when_a_larger_one_comes_in(worker: Worker, tmp_path: Path) -> None:
    frames = [[Disc(40, 60, 15)] + ([Disc(115, 60, 30)] if i > 2 else []) for i in range(10)]
    rows = track(worker, write_clip(tmp_path / "a.mp4", frames))
    assert (centres(rows)[:, 0] - 40).abs().max() < 1.0


def test_a_face_that_returns_elsewhere_after_long_is_taken_up_again(worker: Worker, tmp_path: Path) -> None:
    frames = [[Disc(30, 60, 15)]] * 3 + [[]] * 8 + [[Disc(140, 60, 15)]] * 3
    rows = track(worker, write_clip(tmp_path / "a.mp4", frames))
    assert rows.found.tolist() == [True] * 3 + [False] * 8 + [True] * 3


def test_the_crop_is_stable_and_its_size_is_the_ratio(worker: Worker, tmp_path: Path) -> None:
    rows = track(worker, write_clip(tmp_path / "a.mp4", swinging(30)))
    square = stable_square(face_boxes(rows), 0.5)
    assert abs(float(square[2]) - 2 * 24 / 0.5) < 3
    assert (square[:2] - torch.tensor([80.0, 60.0 - RISE * 96])).abs().max() < 2


def test_jitter_does_not_make_the_crop_breathe() -> None:
    g = torch.Generator().manual_seed(0)
    boxes = torch.tensor([[56.0, 36.0, 104.0, 84.0]]).repeat(200, 1)
    plain = stable_square(boxes, 0.5)
    noisy = stable_square(boxes + torch.randn(200, 4, generator=g), 0.5)
    assert (plain - noisy).abs().max() < 1.0
    boxes[10] = torch.tensor([0.0, 0.0, 300.0, 300.0])  # one wild frame
    torch.testing.assert_close(stable_square(boxes, 0.5), plain)


def test_a_head_that_travels_far_stays_inside_an_enlarged_crop() -> None:
    x = torch.linspace(30, 300, 100)
    boxes = torch.stack([x - 20, torch.full_like(x, 40), x + 20, torch.full_like(x, 80)], 1)
    square = stable_square(boxes, 0.5)
    low, high = square[0] - square[2] / 2, square[0] + square[2] / 2
    inside = (boxes[:, 0] > low) & (boxes[:, 2] < high)
    assert inside.float().mean() >= 0.98
    assert square[2] < 1.3 * 310


def test_crop_and_landmarks_agree(worker: Worker, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", swinging(5))
    rows = track(worker, path)
    square = stable_square(face_boxes(rows), 0.5)
    crops = crop_frames(worker.frames.read(path, 0, 5), square, 64, worker.device)
    landmarks = crop_landmarks(rows, square, 64, worker.device)
    mask = (crops.rgb[:, 0] > 0.5).float()
    grid = torch.arange(64) + 0.5
    x = (mask * grid).sum((1, 2)) / mask.sum((1, 2))
    assert (landmarks.points[:, :, 0].mean(1) - x).abs().max() < 1.0


def test_weak_detections_start_no_track_but_carry_one_on(worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Detections of score 0.6 go on with a face that was sure once; alone they are no face."""
    import attrs
    from disc_face import Detector

    from mmfa_components.records import FaceDetections, Frames

    original = Detector.__call__
    sure_frames: set[int] = set()
    counter = 0

    def weak(self: Detector, frames: Frames) -> FaceDetections:
        nonlocal counter
        found = original(self, frames)
        scores = torch.tensor([0.95 if int(i) + counter in sure_frames else 0.6 for i in found.image])
        counter += len(frames)
        return attrs.evolve(found, scores=scores)

    monkeypatch.setattr(Detector, "__call__", weak)
    path = write_clip(tmp_path / "a.mp4", swinging(10))
    with pytest.raises(NoFaceError):
        track(worker, path)
    counter, sure_frames = 0, {3}
    assert track(worker, path).found.tolist() == [False] * 3 + [True] * 7


def test_the_box_of_contour_landmarks_reaches_as_high_as_the_mesh() -> None:
    points = torch.rand(2, 68, 3, generator=torch.Generator().manual_seed(0)) * 100
    points[:, 0, :2], points[:, 1, :2] = torch.tensor([0.0, 0.0]), torch.tensor([100.0, 100.0])
    numbers = torch.zeros(2, 2).long()
    rows = FaceTrack(torch.tensor([True, False]), torch.ones(2, dtype=torch.bool), points, torch.ones(2), torch.zeros(2, 4), *numbers)
    torch.testing.assert_close(face_boxes(rows), torch.tensor([[0.0, -21.0, 100.0, 100.0]]))
    mesh = attrs.evolve(rows, points=torch.cat([points, points], 1))
    torch.testing.assert_close(face_boxes(mesh), torch.tensor([[0.0, 0.0, 100.0, 100.0]]))
