"""Which files are evaluated, which clip drives which portrait, which frames are taken; faults all at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from mmfa_components.errors import ConfigError, NoFaceError
from mmfa_components.registry import Registry, load_registry
from pipelines.catalogue import SHIPPED
from pipelines.config.faults import Faults
from pipelines.evaluation.scenes import choose_frames
from pipelines.evaluation.schema import Candidate, EvaluateInputs, EvaluatePipeline, Frames, Input
from pipelines.evaluation.sources import find_inputs, pair_up
from pipelines.kinds.evaluate import KIND

FILE = SHIPPED / "evaluate.toml"


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


def test_frames_of_a_clip() -> None:
    found = [2, 3, 4, 6, 7, 8, 9, 10]
    assert choose_frames(found, Frames(limit=0), "x") == (2, (3, 4, 6, 7, 8, 9, 10))
    assert choose_frames(found, Frames(stride=3, limit=0), "x") == (2, (3, 7, 10))
    assert choose_frames(found, Frames(limit=3), "x") == (2, (3, 7, 10))
    assert choose_frames(found, Frames(limit=3, spread=False), "x") == (2, (3, 4, 6))
    with pytest.raises(NoFaceError, match="shows a face in 1 frames"):
        choose_frames([5], Frames(), "x")


def test_a_clip_never_drives_its_own_person() -> None:
    clips = tuple(Input(Path(f"c{i}.mp4"), who) for i, who in enumerate("aabc"))
    portraits = tuple(Input(Path(f"p{i}.png"), who) for i, who in enumerate("abc"))
    assert pair_up(clips, portraits, 1) == ((1,), (2,), (0,), (1,))
    assert pair_up(clips, portraits, 0) == ((1, 2), (1, 2), (0, 2), (0, 1))
    assert pair_up(clips, portraits[:1], 1) == ((), (), (0,), (0,))


def test_a_manifest(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.png", "c.mp4"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "m.csv").write_text("file,kind,identity,split\na.mp4,clip,ann,val\nb.png,still,ben,val\nc.mp4,clip,cat,train\n", encoding="utf-8")
    faults = Faults()
    clips, portraits = find_inputs(EvaluateInputs(manifest=str(tmp_path / "m.csv")), tmp_path, faults)
    assert faults.items == []
    assert [(c.path.name, c.identity) for c in clips] == [("a.mp4", "ann")]
    assert [(p.path.name, p.identity) for p in portraits] == [("b.png", "ben")]
    (tmp_path / "bad.csv").write_text("file,split\nnowhere.mp4,val\n", encoding="utf-8")
    find_inputs(EvaluateInputs(manifest=str(tmp_path / "bad.csv")), tmp_path, faults)
    assert "line 2" in str(faults.items[0])


def test_the_shipped_file_is_a_checked_plan(registry: Registry) -> None:
    plan = KIND.load(FILE, (), registry)
    assert (len(plan.clips), len(plan.portraits), plan.pairs) == (2, 2, ((0,), (1,)))
    plain = EvaluatePipeline(animators=(Candidate("mmfa"),))
    for name in ("animators", "metrics", "same", "cross", "control", "temporal", "cache", "engine", "seed"):
        assert getattr(plan.pipeline, name) == getattr(plain, name), name
    console = Console(width=160, record=True)
    console.print(KIND.describe(plan, registry))
    assert "beside them the source repeated and the driving frame itself" in console.export_text()
    assert KIND.facts(plan, registry)["pairs"] == 2


def test_faults_are_told_at_once_and_weights_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMFA_WEIGHTS", str(tmp_path))
    text = FILE.read_text(encoding="utf-8").replace("[metric_options]", "[metric_options.fid]\nbackbone = 'inceptoin'\n[metric_options.ssim]")
    mine = tmp_path / "mine.toml"
    mine.write_text(text + "nothing = 'x.safetensors'\n", encoding="utf-8")
    overrides = [
        'metrics=["lpips", "psnr", "csmi", "fid", "aed", "csmi:other", "psnr"]', "control.steps=1", "engine.name=in_proces", "inputs.portraits=[]",
        'animators=[{name="mmfa", options={preset="bse"}}, {name="mmfa"}, {name="mfma", label="x"}]',
    ]  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        KIND.load(mine, overrides, load_registry())
    told = str(caught.value)
    for words in (
        "metrics[2]: no metric is called 'csmi'", "did you mean 'csim'",
        "metrics[5]: no metric is called 'csmi'", "metrics[6]: 'psnr' is named twice", '"psnr:LABEL"',
        "animators[1].label: 'mmfa' is the name of two rows", "did you mean 'mmfa'",
        "metric_options.fid.backbone", "metric_options.ssim: is not among the metrics", "control.steps", "inputs.portraits: names no picture",
        "weights.nothing", "did you mean 'in_process'",
    ):  # fmt: skip
        assert words in told, told
    with pytest.raises(ConfigError) as caught:
        KIND.load(FILE, ['metrics=["lpips", "psnr", "aed"]'], load_registry())
    told = str(caught.value)
    assert "metrics[0]" in told
    assert "mmfa plugins fetch lpips_alex" in told
    assert "mmfa plugins fetch sface" in told
