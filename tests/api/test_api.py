"""The Python API on the disc system: arrays, files and the command give the same frames."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from disc_face import Disc, disc_registry, draw
from disc_media import disc_plan, swinging, write_clip, write_portrait
from PIL import Image

import mmfa
import mmfa_components.registry
from mmfa.cli import main
from mmfa_components import records as r
from mmfa_components.errors import ConfigError, MediaError, NoFaceError, OutputError
from pipelines.media import open_video, read_image

DISC = ("face.detector.name=disc", "face.landmarks.name=disc", "animator.name=disc")
OPTIONS = (*DISC, "animator.options={}", "cache.mode=off", "engine.device=cpu")


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mmfa.Predictor]:
    plan = disc_plan(tmp_path_factory.mktemp("api"), [], [], transfer={"reference": "auto"})
    with mmfa.Predictor(plan.pipeline, disc_registry()) as made:
        yield made


@pytest.fixture
def me(predictor: mmfa.Predictor) -> mmfa.Portrait:
    return predictor.portrait(draw([Disc(70, 60, 22, yaw=0.1, tint=0.3)], 160, 120).numpy())


def yaw_of(frame: Any) -> float:
    """Yaw in degrees of a frame, as the disc animator measures it."""
    registry = disc_registry()
    animator = registry.build("animator", "disc", {}, registry.context())
    crop = r.Frames(torch.from_numpy(np.array(frame))[None].permute(0, 3, 1, 2).float() / 255)
    motion = animator.decompose(crop, r.Landmarks(torch.zeros(1, 8, 3), torch.ones(1)))
    return float(torch.rad2deg(torch.asin(-motion.rotation[0, 0, 2])))


def read_frames(path: Path) -> list[np.ndarray[Any, Any]]:
    with open_video(path) as reader:
        return [frame.rgb().numpy() for frame in reader.frames()]


def test_a_picture_is_one_whatever_it_comes_as(predictor: mmfa.Predictor, tmp_path: Path) -> None:
    path = write_portrait(tmp_path / "me.png")
    array = read_image(path).rgb.numpy()
    clear = np.concatenate([array, np.full_like(array[..., :1], 255)], 2)
    given = [path, str(path), array, torch.from_numpy(array), clear, Image.open(path)]
    made = [predictor.portrait(picture) for picture in given]
    for one in made:
        assert np.array_equal(one.picture, array)
        assert one.square == made[0].square
        assert np.array_equal(predictor.pose(one), predictor.pose(made[0]))


def test_what_is_clear_is_white(predictor: mmfa.Predictor) -> None:
    disc = draw([Disc(70, 60, 22)], 160, 120).numpy()
    alpha = np.full_like(disc[..., :1], 255)
    alpha[:10] = 0
    array = np.concatenate([disc, alpha], 2)
    for given in (array, Image.fromarray(array)):
        assert (predictor.portrait(given).picture[:10] == 255).all()


def test_pose_adds_to_the_portrait_s_own(predictor: mmfa.Predictor, me: mmfa.Portrait) -> None:
    rest = predictor.pose(me)
    assert rest.shape == (predictor.size, predictor.size, 3)
    assert rest.dtype == np.uint8
    own = me.angles[0]
    for yaw in (-12.0, 8.0):
        assert yaw_of(predictor.pose(me, yaw=yaw)) == pytest.approx(own + yaw, abs=2.5)
    assert np.nonzero(predictor.pose(me, x=0.2)[..., 0] > 128)[1].mean() > (
        np.nonzero(rest[..., 0] > 128)[1].mean() + 4
    )
    assert (predictor.pose(me, scale=0.2)[..., 0] > 128).sum() > 1.2 * (rest[..., 0] > 128).sum()
    pasted = predictor.pose(me, yaw=10, paste=True)
    assert pasted.shape == me.picture.shape
    assert np.array_equal(pasted[:5, :5], me.picture[:5, :5])
    assert not np.array_equal(predictor.pose(me, mark=True), rest)


def test_a_head_turned_far_is_told(predictor: mmfa.Predictor, me: mmfa.Portrait) -> None:
    with pytest.warns(mmfa.MMFAWarning, match="yaw is up to 40 degrees"):
        predictor.pose(me, yaw=40)


def test_frames_and_their_file_move_a_portrait_alike(
    predictor: mmfa.Predictor, me: mmfa.Portrait, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "swing.mp4", swinging(23))
    held = read_frames(clip)
    of_file = list(predictor.animate(me, clip))
    for given in (held, np.stack(held), [Image.fromarray(frame) for frame in held]):
        of_frames = list(predictor.animate(me, given))
        assert len(of_frames) == 23
        assert all(np.array_equal(a, b) for a, b in zip(of_file, of_frames, strict=True))
    assert len({frame.tobytes() for frame in of_file}) > 10
    assert predictor._engine.worker.frames.held == {}


def test_frames_come_as_they_are_asked_for(
    predictor: mmfa.Predictor, me: mmfa.Portrait, tmp_path: Path
) -> None:
    frames = [draw(discs, 160, 120).numpy() for discs in swinging(60)]
    animator = predictor._engine.worker.components.animator  # type: ignore[attr-defined]
    before = animator.calls
    first = list(itertools.islice(predictor.animate(me, frames), 3))
    assert len(first) == 3
    assert animator.calls - before <= 9  # of 15 batches: the span at hand, and those ahead of it


def test_a_file_is_what_the_command_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mmfa_components.registry, "load_registry", disc_registry)
    write_portrait(tmp_path / "me.png", Disc(60, 50, 20, yaw=0.1, tint=0.1))
    write_clip(tmp_path / "swing.mp4", swinging(8))
    chosen = [text for option in OPTIONS for text in ("--set", option)]
    command = ["animate", "me.png", "swing.mp4", "-o", "command.mp4", "--pose", "absolute", *chosen]
    assert main(command) == 0
    with mmfa.load("cpu", settings=OPTIONS) as predictor:
        me = predictor.portrait("me.png")
        made = predictor.animate(me, "swing.mp4", out="api.mp4", pose="absolute")
        assert made == Path("api.mp4")
        assert made.read_bytes() == Path("command.mp4").read_bytes()
        when = made.stat().st_mtime_ns
        predictor.animate(me, "swing.mp4", out="api.mp4", pose="absolute")
        assert made.stat().st_mtime_ns == when  # nothing has changed
        predictor.animate(me, "swing.mp4", out="api.mp4")
        assert made.stat().st_mtime_ns > when
        assert predictor.animate(me, "swing.mp4", out="in/a/folder.gif").is_file()
        Path("mine.mp4").write_bytes(b"holiday")
        with pytest.raises(OutputError, match="was not made by MMFA"):
            predictor.animate(me, "swing.mp4", out="mine.mp4")
        with pytest.raises(ConfigError, match="would overwrite an input"):
            predictor.animate(me, "swing.mp4", out="swing.mp4")
        with pytest.raises(ConfigError, match=r"cannot be written as '\.xyz'"):
            predictor.animate(me, "swing.mp4", out="me.xyz")


def test_each_portrait_of_a_group_has_results_of_its_own(
    predictor: mmfa.Predictor, tmp_path: Path
) -> None:
    two = draw([Disc(45, 60, 20, tint=0.0), Disc(115, 60, 24, tint=0.9)], 160, 120).numpy()
    frames = [draw(discs, 160, 120).numpy() for discs in swinging(5)]
    left, right = (predictor.portrait(two, face=number) for number in (0, 1))
    assert left.square[0] < 80 < right.square[0]
    made = [predictor.animate(one, frames, out=tmp_path / "one.mp4") for one in (left, right)]
    shown = list(predictor.animate(right, frames))
    written = read_frames(made[1])  # not taken for the left one's, which had the name before
    assert np.abs(written[0].astype(int) - shown[0].astype(int)).mean() < 6


FRAMES = [np.zeros((20, 20, 3), np.uint8)]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((20, 20, 3), np.float32), "dtype float32"),
        (np.zeros((20, 20), np.uint8), r"shape \(20, 20\)"),
        (np.zeros((20, 0, 3), np.uint8), "shape"),
        (None, "is a NoneType"),
        ("nobody.png", "nobody.png"),
        (Image.new("I;16", (20, 20)), "mode I;16"),
    ],
)
def test_no_picture(predictor: mmfa.Predictor, given: Any, said: str) -> None:
    with pytest.raises(MediaError, match=said):
        predictor.portrait(given)


@pytest.mark.parametrize(
    ("given", "options", "error", "said"),
    [
        ([], {}, MediaError, "there are no frames"),
        ([*FRAMES, np.zeros((20, 30, 3), np.uint8)], {}, MediaError, "frame 1: is 30 x 20"),
        (Image.new("RGB", (20, 20)), {}, MediaError, "is one picture"),
        (FRAMES * 3, {}, NoFaceError, "no face"),
        (FRAMES, {"rate": 0}, MediaError, "frames per second"),
        (FRAMES, {"pose": "absolut"}, ConfigError, "did you mean 'absolute'"),
        (FRAMES, {"amount": {"rotatoin": 1.0}}, ConfigError, "rotation"),
        ("nobody.mp4", {}, MediaError, "nobody.mp4"),
    ],
)
def test_bad_driving_is_told_at_the_call(
    predictor: mmfa.Predictor, me: mmfa.Portrait, given: Any, options: Any, error: Any, said: str
) -> None:
    with pytest.raises(error, match=said):
        predictor.animate(me, given, **options)


def test_a_reference_that_is_not_there_is_told_at_the_call(
    predictor: mmfa.Predictor, me: mmfa.Portrait
) -> None:
    frames = [draw(discs, 160, 120).numpy() for discs in swinging(4)]
    with pytest.raises(ConfigError, match="reference frame 9"):
        predictor.animate(me, frames, reference=9)


def test_lost_faces_are_told(predictor: mmfa.Predictor, me: mmfa.Portrait) -> None:
    frames = [draw(discs, 160, 120).numpy() for discs in [*swinging(3), *[[]] * 8, *swinging(3)]]
    with pytest.warns(mmfa.MMFAWarning, match="no face in frames 3"):
        predictor.animate(me, frames)


def test_load_tells_everything_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmfa_components.registry, "load_registry", disc_registry)
    settings = [*OPTIONS, "face.select=-1"]
    with pytest.raises(ConfigError, match=r"(?s)2 faults.*no_such.*face\.select") as caught:
        mmfa.load(animator="disc", weights={"no_such": "x"}, settings=settings)
    assert "mmfa.load" in str(caught.value)
    with pytest.raises(ConfigError, match="no device"):
        mmfa.load("tpu", settings=DISC)
