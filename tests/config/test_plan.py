"""The plan in words and figures."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from disc_face import Disc
from disc_media import swinging, write_clip, write_portrait
from rich.console import Console
from toy_system import toy_registry

from mmfa_components.folders import CACHE_VARIABLE
from pipelines.runs.plan import describe, facts, load_plan


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    """Two portraits and a file that is no image, moved by one clip, which is a source as well."""
    write_portrait(tmp_path / "a.png", Disc(60, 50, 20))
    (tmp_path / "c.png").write_bytes(b"no image")
    write_clip(tmp_path / "d.mp4", swinging(7))
    text = 'inputs.sources = ["{here}/*.png", "{here}/d.mp4"]\ninputs.driving = ["{here}/d.mp4"]\nanimator.name = "toy"\noutput.folder = "{here}/out"'
    (tmp_path / "plan.toml").write_text(text, encoding="utf-8")
    return tmp_path / "plan.toml"


def test_facts_count_each_input_once(plan_file: Path) -> None:
    registry = toy_registry(plan_file.parent)
    plan = load_plan(plan_file, [], registry)
    plan.jobs[0].output.parent.mkdir()
    plan.jobs[0].output.write_bytes(b"x")
    known = json.loads(json.dumps(facts(plan, registry)))
    work = known["work"]
    assert work == {"clips_decomposed_once_each": 1, "portraits_encoded_once_each": 2, "frames_decomposed": 7, "frames_rendered": 21}
    assert [Path(j["output"]).name for j in known["jobs"]] == ["a__d.mp4", "c__d.mp4", "d__d.mp4"]
    assert [j["exists"] for j in known["jobs"]] == [True, False, False]
    assert "jobs will fail" in known["inputs"][str(plan_file.parent / "c.png")]["problem"]
    rows = {row["stage"]: row for row in known["components"]}
    assert set(rows) == {"face.detector", "face.landmarks", "animator", "animator/rotation_estimator", "animator/affine_estimator"}
    assert rows["animator"]["version"] == "3"
    assert rows["animator"]["origin"] == "toys 1.0"
    assert (rows["animator/rotation_estimator"]["needs"], rows["animator/rotation_estimator"]["gives"]) == (["Landmarks"], ["Rotation"])
    assert rows["animator/rotation_estimator"]["options"] == {"keep": 0.5, "deep": {"width": 3}}


def test_a_still_image_as_driving_clip_is_foretold(plan_file: Path) -> None:
    registry = toy_registry(plan_file.parent)
    plan = load_plan(plan_file, ["inputs.driving={here}/a.png"], registry)
    assert "still image" in facts(plan, registry)["inputs"][str(plan_file.parent / "a.png")]["problem"]


def test_the_words_name_jobs_components_work_and_folders(plan_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(plan_file.parent)
    monkeypatch.setenv(CACHE_VARIABLE, "kept/motion")
    registry = toy_registry(plan_file.parent)
    console = Console(file=io.StringIO(), width=200)
    console.print(describe(load_plan(plan_file, ["transfer.scale=absolute"], registry), registry))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for words in (
        "3 jobs", "│ a.png ", "rotation_estimator/toy", "toys 1.0", "clips     1, each followed and decomposed once (about 7 frames)",
        "portraits 2, each encoded once", "about 21 frames to render", "scale absolute", "kept/motion (use)", "c.png: ",
    ):  # fmt: skip
        assert words in text
