"""Preparing data sets from real pictures and clips: what is kept, what is rejected, going on, several processes."""

from __future__ import annotations

import io
import json
import shutil
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from rich.console import Console

from mmfa_components.errors import ConfigError, DatasetError
from mmfa_components.geometry.rotations import matrix_to_euler
from mmfa_components.registry import load_registry
from pipelines.datasets.index import DatasetIndex
from pipelines.datasets.prepare import DatasetReport, prepare
from pipelines.kinds import kind_of
from pipelines.kinds.prepare_dataset import KIND
from pipelines.media import VideoWriter, read_image, write_image
from pipelines.run import main
from pipelines.training.dataset import load_clips
from plugins.mmfa.training.recipe import LABELS

ASSETS = Path(__file__).parents[2] / "pipelines" / "demo"
CPU = torch.device("cpu")

TOML = """
kind = "prepare_dataset"
inputs.files = ["{here}/media/*"]
inputs.identity = "file"
split.val_share = 0.0
keep.least_frames = 3
engine = {device = "cpu", workers = 1}
output.folder = "{here}/out"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    media = tmp_path / "media"
    media.mkdir()
    face = read_image(ASSETS / "portraits" / "hiker.jpg").rgb[:560, :560]
    write_image(media / "face.png", face)
    with VideoWriter(media / "clip.mp4", 560, 560, Fraction(1, 25), Fraction(25)) as writer:
        frames = [face, face.roll(8, 1), torch.full_like(face, 90), face.roll(16, 1), face.roll(24, 1)]
        writer.write(torch.stack(frames), range(5))
    write_image(media / "grey.png", torch.full((64, 64, 3), 90, dtype=torch.uint8))
    (media / "empty.mp4").write_bytes(b"")
    (tmp_path / "prepare.toml").write_text(TOML, encoding="utf-8")
    return tmp_path


def run(folder: Path, *overrides: str) -> tuple[DatasetReport, str]:
    text = io.StringIO()
    plan = KIND.load(folder / "prepare.toml", overrides, load_registry())
    return prepare(plan, Console(file=text, width=200)), text.getvalue()


def test_faces_are_kept_and_the_rest_is_rejected_with_its_reason(folder: Path) -> None:
    report, text = run(folder)
    reasons = {Path(r.file).name: (r.reason, r.failed) for r in report.index.rejected}
    assert reasons["grey.png"] == ("no face was found in this image", False)
    assert reasons["empty.mp4"][1] is True
    assert report.exit_code == 1  # a file that is broken
    assert "rejected: no face was found" in text
    clips = {Path(c.file).name: c for c in report.index.clips}
    assert clips.keys() == {"face.png", "clip.mp4"}
    assert clips["clip.mp4"].frames == 4  # not the grey one
    data = load_clips(folder / "out", "train", "memory", CPU, LABELS)
    assert sorted(data.lengths.tolist()) == [1, 4]
    found = data.frames(torch.arange(5))
    rgb, rotation, region = found["image"], found["rotation"], found["region"]
    assert rgb.shape == (5, 3, 256, 256)
    assert max(float(a.abs().max()) for a in matrix_to_euler(rotation)) < 0.6
    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), torch.eye(3).expand(5, 3, 3), atol=1e-4, rtol=0)
    assert bool(((region[:, :2] - 128).abs() < 30).all())
    still, moved = (rgb[clip_start] for clip_start in data.starts.tolist())
    assert (still.float() - moved.float()).abs().mean() < 25  # the same face in the same place, whatever the file
    body = json.loads((folder / "out" / "report.json").read_text())
    assert body["totals"]["train"] == {"clips": 2, "frames": 5, "identities": 2}
    written = DatasetIndex.read(folder / "out")
    assert (written.clips, written.rejected, written.crop) == (report.index.clips, report.index.rejected, 256)


def test_a_second_run_takes_what_is_there_and_adds_what_is_new(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "media" / "empty.mp4").unlink()
    first, _ = run(folder)
    assert first.exit_code == 0
    shutil.copy(ASSETS / "portraits" / "astronaut.png", folder / "media" / "other.png")
    from pipelines.datasets.prepare_file import FilePreparer

    written: list[str] = []
    write = FilePreparer._write
    monkeypatch.setattr(FilePreparer, "_write", lambda self, path, key: (written.append(path.name), write(self, path, key)))
    second, _ = run(folder)
    assert {"other.png", "grey.png"} == set(written)
    assert len(second.index.clips) == 3
    assert [c for c in second.index.clips if Path(c.file).name != "other.png"] == first.index.clips


def test_stride_most_frames_least_frames_and_least_side(folder: Path) -> None:
    counts = {}
    overrides = {"stride": "stride=2", "most": "most_frames=3", "least": "least_frames=5", "side": "least_side=900"}
    for name, override in overrides.items():
        report, text = run(folder, f"keep.{override}", f"output.folder={folder / name}")
        counts[name] = {Path(c.file).name: c.frames for c in report.index.clips}
    assert counts["stride"]["face.png"] == 1
    assert "clip.mp4" not in counts["stride"]  # frames 0 and 4 are left, three are wanted
    assert counts["most"]["clip.mp4"] == 3
    assert "clip.mp4" not in counts["least"]
    assert counts["side"] == {}
    assert "the face is small" in text


def test_square_pictures_can_be_taken_as_they_are(folder: Path) -> None:
    report, _ = run(folder, "crop.mode=none", "crop.side=64")
    assert {c.side for c in report.index.clips} == {560.0}
    assert load_clips(folder / "out", "train", "memory", CPU, LABELS).frames(torch.tensor([0]))["image"].shape == (1, 3, 64, 64)


def test_several_processes_give_the_same(folder: Path) -> None:
    one, _ = run(folder)
    two, _ = run(folder, "engine.workers=2", f"output.folder={folder / 'two'}")
    assert one.index.clips == two.index.clips
    assert {(r.file, r.reason) for r in one.index.rejected} == {(r.file, r.reason) for r in two.index.rejected}


DEADLY = """
import os, signal
from pipelines.datasets import prepare_file

real = prepare_file.content_digest

def deadly(path):
    if path.name == "grey.png":
        os.kill(os.getpid(), signal.SIGKILL)
    return real(path)

prepare_file.content_digest = deadly
"""


def test_a_file_that_kills_its_worker_is_set_aside_and_the_others_are_done(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(DEADLY)  # Python reads it when a worker process begins
    monkeypatch.setenv("PYTHONPATH", str(folder / "site"))
    report, _ = run(folder, "engine.workers=2")
    reasons = {Path(r.file).name: r.reason for r in report.index.rejected}
    assert reasons["grey.png"] == "its worker process died twice"
    assert {Path(c.file).name for c in report.index.clips} == {"face.png", "clip.mp4"}
    assert report.exit_code == 1


def test_ctrl_c_keeps_what_is_done(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.datasets.prepare_file import FilePreparer

    def pressed(self: FilePreparer, source: object) -> None:
        raise KeyboardInterrupt

    first = FilePreparer.prepare
    calls: list[int] = []

    def once(self: FilePreparer, source: object) -> object:
        calls.append(1)
        return first(self, source) if len(calls) == 1 else pressed(self, source)  # type: ignore[arg-type, func-returns-value]

    monkeypatch.setattr(FilePreparer, "prepare", once)
    report, text = run(folder)
    assert report.exit_code == 130
    assert "run the same command again" in text
    assert len(DatasetIndex.read(folder / "out").clips) == 1


def test_the_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder / "prepare.toml"), "--dry-run"]) == 0
    assert "train     4 files of 4 people" in capsys.readouterr().out
    assert not (folder / "out").exists()
    assert main([str(folder / "prepare.toml"), "--set", "face.detector.name=facemsh", "--set", "keep.stride=0"]) == 2
    told = capsys.readouterr().err
    assert "did you mean 'facemesh'?" in told
    assert "keep.stride" in told
    assert main([str(folder / "prepare.toml"), "--set", "kind=prepare"]) == 2
    assert "there is no kind of pipeline 'prepare'" in capsys.readouterr().err


def test_a_damaged_index_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no data set here"):
        DatasetIndex.read(tmp_path)
    for text in ("{", '{"format": "other"}', '{"format": "mmfa-dataset/1", "clips": [{"a": 1}], "rejected": []}'):
        (tmp_path / "index.json").write_text(text)
        with pytest.raises(DatasetError, match="index"):
            DatasetIndex.read(tmp_path)


def test_kinds_are_found_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('kind = "prepare_dataset"')
    assert kind_of(path, ()) is KIND
    path.write_text("kind = 3")
    with pytest.raises(ConfigError, match="there is no kind of pipeline 3"):
        kind_of(path, ())
