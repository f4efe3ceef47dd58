"""Loading a pipeline file: everything that is wrong is in one error, with TOML paths; what is right becomes a plan."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
import torch
from safetensors.torch import save_file
from toy_system import toy_registry

from mmfa_components.errors import ConfigError
from mmfa_components.registry import Registry, load_registry
from pipelines.config.components import named_parts
from pipelines.config.load import load_pipeline, read_toml
from pipelines.config.schema import Pipeline
from pipelines.runs.plan import facts, load_plan

SHIPPED = Path(__file__).parents[2] / "pipelines"
GOOD = 'inputs.sources = ["{here}/a.png"]\ninputs.driving = ["{here}/b.mp4"]\nanimator.name = "toy"\n'


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """The toy system, and the inputs that GOOD names."""
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "b.mp4").write_bytes(b"x")
    return toy_registry(tmp_path)


def fails(tmp_path: Path, registry: Registry, text: str, *overrides: str) -> str:
    path = tmp_path / "p.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_plan(path, overrides, registry)
    message = str(caught.value)
    assert str(path) in message
    return message


def test_a_good_file_becomes_a_plan(tmp_path: Path, registry: Registry) -> None:
    path = tmp_path / "p.toml"
    path.write_text(GOOD + '[output]\nfolder = "{here}/out"\n', encoding="utf-8")
    plan = load_plan(path, ["output.quality=30", "animator.options.parts.rotation_estimator.deep.width=5"], registry)
    (job,) = plan.jobs
    assert (job.source, job.driving, job.output) == (tmp_path / "a.png", tmp_path / "b.mp4", tmp_path / "out/a__b.mp4")
    assert plan.pipeline.output.quality == 30
    assert plan.pipeline.animator.options == {"parts": {"rotation_estimator": {"deep": {"width": 5}}}}
    assert plan.origin == path


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('face.detector.name = "facemsh"', "face.detector.name: no face_detector is called 'facemsh'\n  -> did you mean 'facemesh'?"),
        ('face.detector.name = "blind"', "face.detector.name: face_detector 'blind' gives FaceRegions, but FaceDetections is needed"),
        ('face.landmarks.name = "hungry"', "landmark_detector 'hungry' needs Motion, but at this place there is Frames, FaceRegions only"),
        ("face.landmarks.options.x = 1", "face.landmarks.options.x: no such key here"),
        ('animator.options.rotation_estimator = "tay"', "animator.options.rotation_estimator: no rotation_estimator is called 'tay'"),
        ('animator.options.rotation_estimator = "late"', "rotation_estimator 'late' needs Motion"),
        ('animator.options.affine_estimator = "by_landmarks"', "affine_estimator 'by_landmarks' needs Landmarks"),
        ("animator.options.rotation_estimator = 3", "animator.options.rotation_estimator: expected a text, got the number 3"),
        ('animator.options.parts.rotation_estimator.keep = "1"', "animator.options.parts.rotation_estimator.keep: expected a number"),
        ("animator.options.parts.rotation_estimator.deep.width = 0", "rotation_estimator.deep.width: 'width' must be > 0"),
        ("animator.options.parts.rotation_estimator.kep = 1", "did you mean 'keep'?"),
        ("animator.options.parts.rotation.keep = 1", "animator.options.parts.rotation: toy has no part of this kind"),
        ('output.codec = "libx246"', "output.codec: no video encoder is called 'libx246'"),
        ('output.report = "a/b.json"', "output.report: 'a/b.json' is not a plain file name"),
        ('output.contact_sheet = "a.gif"', "output.contact_sheet"),
        ('output.contact_sheet = "REPORT.JSON.png"\noutput.report = "report.json.png"', "name of the contact sheet"),
        ('engine.name = "rya"', "engine.name: no engine is called 'rya'"),
        ('engine.device = "gpu"', "engine.device: no device is called 'gpu'"),
        ('engine.device = "mps"', "engine.device: MMFA computes on CPUs and on CUDA devices, not on 'mps'"),
        ("output = 3", "output: expected a table, got the number 3\n  -> it has keys of its own, such as quality = 3"),
        ('provenance = "mine.pem"', "such as certificate = 'mine.pem'; all: certificate, key"),
        ('engine.device = "cuda:63"', "engine.device: this machine has no device 'cuda:63'"),
        ('face.select = "larges"', "face.select: expected 'largest' or a whole number from 0, got 'larges'\n  -> did you mean 'largest'?"),
        ("face.select = -1", "face.select: expected 'largest'"),
        ('face.select = "2"', "write it without quotes: 2"),
        ('transfer.reference = "first"', "transfer.reference: expected 'auto'"),
        ('weights.toy_wights = "x"', "weights.toy_wights: no weights have this name\n  -> did you mean 'toy_weights'?"),
        ('weights.toy_weights = "none.safetensors"', "No such file"),
        ('weights.toy_weights = "{here}/a.png"', "damaged or truncated"),
    ],
)
def test_each_fault_is_told_with_its_path(tmp_path: Path, registry: Registry, more: str, words: str) -> None:
    message = fails(tmp_path, registry, GOOD + more)
    assert words in message
    assert "faults" not in message  # this one only


def test_weights_of_another_architecture(tmp_path: Path, registry: Registry) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors", {"architecture": "toy/2"})
    message = fails(tmp_path, registry, GOOD + 'weights.toy_weights = "{here}/other.safetensors"')
    assert "made for architecture 'toy/2', but 'toy_weights' is 'toy/1'" in message


def test_default_weights_that_are_gone_are_told_unless_replaced(tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "toy.safetensors").rename(tmp_path / "mine.safetensors")
    assert "toy.safetensors: weights file cannot be read" in fails(tmp_path, registry, GOOD)
    path = tmp_path / "p.toml"
    path.write_text(GOOD + 'weights.toy_weights = "{here}/mine.safetensors"', encoding="utf-8")
    assert load_plan(path, [], registry).pipeline.weights == {"toy_weights": str(tmp_path / "mine.safetensors")}


def test_an_animator_that_gives_no_motion(tmp_path: Path, registry: Registry) -> None:
    message = fails(tmp_path, registry, GOOD.replace('"toy"', '"still"'))
    assert "animator.name: animator 'still' does not say what its motion is" in message
    assert "animator 'still' gives Identity, but Frames is needed here" in message


def test_a_rotation_estimator_must_fit_the_landmarks_in_use(tmp_path: Path, registry: Registry) -> None:
    by_mesh = GOOD + 'animator.options.rotation_estimator = "by_mesh"\n'
    path = tmp_path / "p.toml"
    path.write_text(by_mesh, encoding="utf-8")
    assert load_plan(path, [], registry).pipeline.animator.options["rotation_estimator"] == "by_mesh"
    message = fails(tmp_path, registry, by_mesh + 'face.landmarks.name = "contour"')
    assert "rotation_estimator 'by_mesh' needs MeshLandmarks, but at this place there is Frames, ContourLandmarks only" in message


def test_faults_of_all_kinds_are_in_one_error(tmp_path: Path, registry: Registry) -> None:
    text = """
        descripton = "x"
        inputs = {sources = ["{here}/c.png"], driving = ["{here}/b.mp4"]}
        face = {max_gap = "3", detector = {name = "facemsh"}}
        animator = {name = "toy", options = {rotation_estimator = "late"}}
        output = {codec = "nope", quality = 99}
        engine = {name = "rya"}
        weights = {x = "y"}
    """
    message = fails(tmp_path, registry, text, "cache.mod=off")
    assert "10 faults" in message
    for place in (
        "descripton", "inputs.sources[0]", "face.max_gap", "face.detector.name", "animator.options.rotation_estimator", "output.codec",
        "output.quality", "engine.name", "weights.x", "--set cache.mod=off",
    ):  # fmt: skip
        assert f"\n  {place}: " in message


def test_a_broken_plugin_is_named_only_when_its_component_is_asked_for(tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "ok.toml").write_text(GOOD, encoding="utf-8")
    assert load_plan(tmp_path / "ok.toml", [], registry).jobs
    message = fails(tmp_path, registry, GOOD + 'animator.options.rotation_estimator = "shattered"')
    assert "broken plugins: shattered (mmfa plugins check shows why)" in message


def test_files_that_are_no_toml(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    with pytest.raises(ConfigError, match="No such file"):
        read_toml(path)
    path.write_text("a = 1\nb = = 2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="line 2"):
        read_toml(path)
    path.write_bytes(b"a = '\xff'")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_toml(path)


@pytest.mark.parametrize("name", [p.stem for p in sorted(SHIPPED.glob("*.toml")) if read_toml(p).get("kind", "reenact") == "reenact"])
def test_shipped_pipelines_load_with_the_shipped_plugins(name: str) -> None:
    registry = load_registry()
    plan = load_plan(SHIPPED / f"{name}.toml", [], registry)
    assert len(plan.jobs) >= 2
    assert plan.pipeline.description
    known = facts(plan, registry)
    assert not any(entry["problem"] for entry in known["inputs"].values())


def test_the_main_pipeline_writes_out_every_default() -> None:
    pipeline, plain = (named_parts(p, load_registry()) for p in (load_pipeline(SHIPPED / "batch_reenact.toml"), Pipeline()))
    for name in ("face", "animator", "transfer", "cache", "engine"):
        assert getattr(pipeline, name) == getattr(plain, name)
    assert attrs.evolve(pipeline.output, folder=plain.output.folder) == plain.output
    tables = read_toml(SHIPPED / "batch_reenact.toml")
    for field in attrs.fields(Pipeline):
        given = tables[field.name]
        if attrs.has(field.type) and field.name != "animator":
            assert set(given) == set(attrs.fields_dict(field.type)) - {"fields"}, field.name


def test_the_main_job_is_two_portraits_by_two_clips() -> None:
    plan = load_plan(SHIPPED / "batch_reenact.toml", [], load_registry())
    assert len({j.source for j in plan.jobs}) >= 2
    assert len({j.driving for j in plan.jobs}) >= 2
    assert len(plan.jobs) == len({j.output for j in plan.jobs})
