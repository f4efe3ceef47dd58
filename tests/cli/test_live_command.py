"""``mmfa live`` on the disc system: files, pipes, a camera and a window that are made up."""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from disc_face import Disc, disc_registry
from disc_media import swinging, write_clip, write_portrait

import mmfa_components.registry
from mmfa import cameras, screens
from mmfa.cli import main
from mmfa.screens import KEYS, with_lines
from pipelines.media import open_video, probe, read_metadata

DISC = ("face.detector.name=disc", "face.landmarks.name=disc", "animator.name=disc")
CHOSEN = [
    text for one in (*DISC, "animator.options={}", "cache.mode=off") for text in ("--set", one)
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in with a portrait and a clip of the disc system."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mmfa_components.registry, "load_registry", disc_registry)
    write_portrait(tmp_path / "me.png", Disc(60, 50, 20, yaw=0.1, tint=0.1))
    write_clip(tmp_path / "swing.mp4", swinging(10))
    return tmp_path


def live(*options: str) -> int:
    return main(["live", "me.png", "--device", "cpu", *options, *CHOSEN])


def frames_of(path: Path) -> list[Any]:
    with open_video(path) as reader:
        return [frame.rgb().numpy() for frame in reader.frames()]


def test_a_file_to_a_file(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    assert live("--input", "swing.mp4", "-o", "out.mp4") == 0
    assert "10 frames" in capsys.readouterr().err
    info = probe(folder / "out.mp4")
    assert (info.width, info.height, info.frames) == (64, 64, 10)
    assert info.duration is not None
    assert float(info.duration) == pytest.approx(0.4, abs=0.05)
    assert "synthetic" in read_metadata(folder / "out.mp4")
    assert live("--input", "swing.mp4", "-o", "out.mp4", "--frames", "3", "--paste") == 0
    info = probe(folder / "out.mp4")
    assert (info.width, info.height, info.frames) == (160, 120, 3)


def test_raw_frames_through_a_pipe(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    data = b"".join(frame.tobytes() for frame in frames_of(folder / "swing.mp4")[:4])
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=out, flush=lambda: None))
    assert live("--input", "-", "--size", "160x120", "-o", "-") == 0
    monkeypatch.undo()
    made = np.frombuffer(out.getvalue(), np.uint8).reshape(-1, 64, 64, 3)
    assert len(made) == 4
    assert made.std() > 10


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--input", "nobody.mp4", "-o", "a.mp4"], "nobody.mp4"),
        (["--input", "-", "--size", "big", "-o", "a.mp4"], "such as --size 640x360"),
        (["--input", "swing.mp4", "-o", "a.png"], "cannot be written as '.png'"),
        (["--input", "swing.mp4", "-o", "mine.mp4"], "was not made by MMFA"),
        (["--input", "swing.mp4", "-o", "a.mp4", "--rate", "0"], "--rate"),
        (["--camera", "93", "-o", "a.mp4"], "camera 93: cannot be opened"),
    ],
)
def test_mistakes(
    options: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "mine.mp4").write_bytes(b"holiday")
    assert live(*options) == 2
    assert said in capsys.readouterr().err
    assert not (folder / "a.mp4").exists()


def test_half_a_frame_ends_it_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"\0" * 60000)))
    assert live("--input", "-", "--size", "160x120", "-o", "a.mp4") == 2
    assert "160 x 120 take 57600" in capsys.readouterr().err
    assert sorted(p.name for p in folder.iterdir()) == ["me.png", "swing.mp4"]


class FakeCapture:
    """A camera that shows a clip, a frame every 5 ms, then nothing more."""

    def __init__(self, frames: list[Any]) -> None:
        self.frames, self.released = list(frames), False

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def read(self) -> tuple[bool, Any]:
        time.sleep(0.005)
        return (True, self.frames.pop(0)[..., ::-1].copy()) if self.frames else (False, None)

    def release(self) -> None:
        self.released = True


class FakeWindow:
    """OpenCV as far as a window and a camera go. keys: what is pressed, one a frame."""

    error = RuntimeError
    COLOR_BGR2RGB = COLOR_RGB2BGR = WINDOW_NORMAL = WND_PROP_VISIBLE = 0

    def __init__(self, capture: FakeCapture, keys: str) -> None:
        self.capture, self.keys, self.shown = capture, list(keys), []  # type: tuple
        self.closed = False

    def VideoCapture(self, number: int) -> FakeCapture:  # noqa: N802 - OpenCV's name
        return self.capture

    def cvtColor(self, picture: Any, way: int) -> Any:  # noqa: N802 - OpenCV's name
        return picture[..., ::-1]

    def namedWindow(self, title: str, flags: int) -> None:  # noqa: N802 - OpenCV's name
        assert title

    def imshow(self, title: str, picture: Any) -> None:
        self.shown.append(picture[..., ::-1])

    def waitKey(self, wait: int) -> int:  # noqa: N802 - OpenCV's name
        return ord(self.keys.pop(0)) if self.keys else 255

    def getWindowProperty(self, title: str, what: int) -> float:  # noqa: N802 - OpenCV's name
        return 1.0

    def destroyAllWindows(self) -> None:  # noqa: N802 - OpenCV's name
        self.closed = True


@pytest.fixture
def cv2(monkeypatch: pytest.MonkeyPatch, folder: Path) -> FakeWindow:
    window = FakeWindow(FakeCapture(frames_of(folder / "swing.mp4") * 40), " nmrq")
    monkeypatch.setattr(cameras, "opencv", lambda what: window)
    monkeypatch.setattr(screens, "opencv", lambda what: window)
    monkeypatch.setenv("DISPLAY", ":1")
    return window


def test_a_camera_and_a_window(cv2: FakeWindow, capsys: pytest.CaptureFixture[str]) -> None:
    assert live() == 0
    assert len(cv2.shown) == 5  # q was the fifth key
    assert cv2.closed
    assert cv2.capture.released
    said = capsys.readouterr().err
    assert "5 frames" in said
    assert "dropped" in said
    # After m (mirror) and r (again) the next face is neutral: the portrait as it is, as at first.
    first, *_, last = (picture[:500, :500].astype(int) for picture in cv2.shown)
    assert np.abs(first - last).mean() < 1


def test_a_camera_that_ends_says_so(cv2: FakeWindow, capsys: pytest.CaptureFixture[str]) -> None:
    cv2.capture.frames, cv2.keys = cv2.capture.frames[:3], []
    assert live() == 2
    assert "camera 0: gives no frames" in capsys.readouterr().err
    assert cv2.capture.released


def test_late_frames_are_dropped_from_a_camera_only(folder: Path) -> None:
    source = cameras.Film(folder / "swing.mp4", realtime=True)
    seen = []
    for shot in source.shots():
        seen.append(shot.seconds)
        time.sleep(0.1)  # two and a half frames
    assert source.dropped >= 3
    assert len(seen) + source.dropped == 10
    every = cameras.Film(folder / "swing.mp4", realtime=False)
    assert len(list(every.shots())) == 10


def test_no_screen_and_no_opencv_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert live() == 2
    assert "-o out.mp4" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert live() == 2
    assert "pip install 'mmfa[live]'" in capsys.readouterr().err


def test_the_line_below_the_frame() -> None:
    picture = with_lines(np.full((64, 64, 3), 200, np.uint8), ("12.3 frames/s", KEYS))
    assert picture.shape == (512 + 56, 512, 3)
    assert (picture[:512] == 200).all()
    assert picture[512:].max() > 200
