"""An animator whose motion is points and Jacobians, in a distribution of its own, through everything; no line elsewhere knows it."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from disc_face import Detector, DetectorOptions, Disc, LandmarkDetector
from disc_media import swinging, write_clip, write_portrait

from mmfa_components import records as r
from mmfa_components.kinds import ComponentSpec
from mmfa_components.registry import Plugin, Registry, load_registry
from mmfa_components.testing import ConformanceError, check_animator
from pipelines import run
from pipelines.config.schema import Face, Part, Pipeline
from pipelines.media import VideoWriter, open_video
from pipelines.testing import check_runs

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ASSETS = ROOT / "pipelines" / "demo"
FOLLOWED = {"points": (0, 2, 4, 6), "axis": (4, 0)}
"""Of the eight landmarks of a disc."""


def files_of_the_guide() -> dict[str, str]:
    """The files that docs/add_an_animator.md tells to write: a name in a line of its own, then a block of code."""
    guide = (ROOT / "docs" / "add_an_animator.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^`([\w./]+)`\n\n```\w+\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip installed the distribution into, which was written as the guide says."""
    folder = tmp_path_factory.mktemp("guide")
    for name, text in files_of_the_guide().items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    site = folder / "site"
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", str(site), str(folder)], check=True, timeout=120)
    return site


def test_the_guide_writes_these_files() -> None:
    """What is checked and linted here is what the guide shows, to the letter."""
    kept = [HERE / "pyproject.toml", *sorted((HERE / "mmfa_warp_example").glob("*.py"))]
    assert files_of_the_guide() == {str(p.relative_to(HERE)): p.read_text(encoding="utf-8") for p in kept}


def test_the_guides_check_passes_as_written(installed: Registry) -> None:
    guide = (ROOT / "docs" / "add_an_animator.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(from mmfa_components.registry.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    exec(code, {})


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The registry with the distribution installed, for this process and for workers."""
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(ROOT / "tests")]))
    importlib.invalidate_caches()
    yield load_registry()
    for name in [n for n in sys.modules if n.startswith("mmfa_warp_example")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The hiker, small, and the first frames of the smiling man."""
    folder = tmp_path_factory.mktemp("media")
    clip = folder / "clip.mp4"
    with open_video(ASSETS / "clips" / "smiling_man.mp4") as reader:
        rgb = next(iter(reader.spans(10))).rgb
    with VideoWriter(clip, rgb.shape[2], rgb.shape[1], Fraction(1, 25), Fraction(25)) as writer:
        writer.write(rgb, list(range(10)))
    return ASSETS / "portraits" / "hiker.jpg", clip


def command(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = run.main([str(a) for a in arguments])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def toml(folder: Path, media: tuple[Path, Path], more: str = "") -> Path:
    path = folder / "warp.toml"
    path.write_text(
        f"""
        inputs.sources = ["{media[0]}"]
        inputs.driving = ["{media[1]}"]
        animator.name = "warp"
        output.folder = "{folder}/out"
        output.contact_sheet = ""
        cache.folder = "{folder}/cache"
        {more}
        """,
        encoding="utf-8",
    )
    return path


def test_the_guides_command_plans_the_main_job(installed: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    guide = (ROOT / "docs" / "add_an_animator.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^mmfa run (.*)$", guide, re.MULTILINE)
    code, out, err = command(capsys, *line.replace("pipelines/", f"{ROOT}/pipelines/").split(), "--dry-run")
    assert code == 0, err
    assert "warp" in out


def test_every_way_gives_the_same_pictures(installed: Registry, tmp_path: Path) -> None:
    """Batch, finished results, cache, other spans, motion file and Ray, on discs, which are quickly found."""
    parts = (
        ComponentSpec("face_detector", "disc", Detector, (r.Frames,), (r.FaceDetections,), DetectorOptions),
        ComponentSpec("landmark_detector", "disc", LandmarkDetector, (r.Frames, r.FaceRegions), (r.Landmarks,)),
    )
    installed.add(Plugin("discs", "tests", "1", "disc_face", parts))
    pipeline = Pipeline(face=Face(Part("disc"), Part("disc"), max_gap=5, smooth=0.1), animator=Part("", FOLLOWED))
    portrait = write_portrait(tmp_path / "red.png", Disc(60, 50, 20, tint=0.1))
    clip = write_clip(tmp_path / "swing.mp4", swinging(20))
    check_runs("warp", installed, portrait, clip, tmp_path / "runs", pipeline)


def test_the_command_takes_its_fields(installed: Registry, media: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = toml(tmp_path, media, 'transfer.points = "relative"\ntransfer.amount.points = 1.5')
    code, _, err = command(capsys, file)
    assert code == 0, err
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["totals"]["done"] == 1
    assert report["components"]["animator"]["name"] == "warp"
    _, shown, _ = command(capsys, file, "--dry-run")
    assert "points relative x 1.5, jacobians relative" in " ".join(shown.split())
    code, _, err = command(capsys, file, "--set", "transfer.ponits=absolute", "--set", "transfer.amount.rotation=2")
    assert code == 2
    assert "transfer.ponits: no such key here" in err
    assert "did you mean 'points'" in err
    assert "transfer.amount.rotation: this animator's motion has no such field" in err


def test_its_fields_are_edited(installed: Registry, media: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def frames(name: str, table: str) -> torch.Tensor:
        (tmp_path / name).mkdir()
        file = toml(tmp_path / name, media, f'kind = "edit"\n{table}')
        code, _, err = command(capsys, file, "--set", f'cache.folder="{tmp_path}/cache"', "--set", "output.motion=true")
        assert code == 0, err
        motion = next((tmp_path / name / "out").glob("*.motion.zip"))
        assert motion.is_file()
        with open_video(next((tmp_path / name / "out").glob("*.mp4"))) as reader:
            return torch.cat([s.rgb for s in reader.spans(32)]).float()

    still = frames("still", "")
    once = frames("once", '[motion.points]\ntake = "relative"\n')
    twice = frames("twice", '[motion.points]\ntake = "relative"\namount = 3.0\n')
    moved = [float((f - still).abs().mean()) for f in (once, twice)]
    assert 0.05 < moved[0] < moved[1]
    (tmp_path / "wrong").mkdir()
    code, _, err = command(capsys, toml(tmp_path / "wrong", media, 'kind = "edit"\n[motion.yaw]\noffset = 10.0\n'))
    assert code == 2
    assert "motion.yaw: no such key here" in err
    assert "points" in err


def test_kinds_that_need_a_head_say_so(installed: Registry, media: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("sweep", "interpolate"):
        file = tmp_path / f"{kind}.toml"
        file.write_text(f'kind = "{kind}"\ninputs.sources = ["{media[0]}"]\nanimator.name = "warp"\n', encoding="utf-8")
        code, _, err = command(capsys, file)
        assert code == 2
        assert f"its motion is a PointMotion, which kind {kind!r} cannot change" in err


def test_it_is_evaluated_beside_others(installed: Registry, media: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "evaluate.toml"
    text = f"""
    kind = "evaluate"
    inputs.clips = ["{media[1]}"]
    inputs.portraits = ["{media[0]}"]
    metrics = ["psnr", "akd"]
    frames.limit = 3
    cross.default = "relative"
    temporal.frames = 4
    output.folder = "{tmp_path}/out"
    cache.folder = "{tmp_path}/cache"
    [[animators]]
    name = "warp"
    """
    file.write_text(text, encoding="utf-8")
    code, _, err = command(capsys, file)
    assert code == 0, err
    told = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert told["failures"] == []
    tables = (tmp_path / "out" / "tables.md").read_text()
    assert "| warp" in tables
    assert "Control is not measured for warp" in tables


class Forgetful:
    """An animator with faults: random motion, frames of a wrong size."""

    crop_size = 32

    def __init__(self, options: object, context: object) -> None:
        self.calls = 0

    def encode(self, crops: r.Frames, landmarks: r.Landmarks) -> r.Frames:
        return crops

    def decompose(self, crops: r.Frames, landmarks: r.Landmarks) -> r.Affine:
        self.calls += 1
        return r.Affine(torch.full((len(crops),), float(self.calls)), torch.zeros(len(crops), 3))

    def render(self, identity: Any, source: Any, driving: Any) -> r.Frames:
        return r.Frames(torch.zeros(len(driving), 3, 16, 16))


def test_an_animator_with_faults_is_told_all_of_them() -> None:
    spec = ComponentSpec("animator", "forgetful", Forgetful, motion=r.MotionKind(r.Affine))
    with pytest.raises(ConformanceError) as caught:
        check_animator(spec, Registry().context())
    assert "decompose: scale of crop 0 alone is not that of the batch" in str(caught.value)
    assert "gives (2, 3, 16, 16), not Frames (2, 3, 32, 32)" in str(caught.value)
    with pytest.raises(ConformanceError, match="does not say what its motion is"):
        check_animator(attrs.evolve(spec, motion=None), Registry().context())
