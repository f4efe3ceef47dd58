"""Every shipped pipeline is of a kind there is, and those for training write out every default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from rich.console import Console
from tiny_training import use_tiny_preset, write_dataset

from mmfa_components.errors import ConfigError
from mmfa_components.registry import load_registry
from pipelines.catalogue import SHIPPED
from pipelines.config.components import named_parts
from pipelines.config.faults import Faults
from pipelines.config.load import read_pipeline, read_toml
from pipelines.datasets.schema import DatasetPipeline
from pipelines.kinds import MODULES, kind_of
from pipelines.kinds.train import KIND as TRAIN
from pipelines.training.schema import schema_with, train_schema
from pipelines.training.vae_schema import VAEPipeline
from plugins.mmfa.training.options import Options
from plugins.mmfa.training.vae import Options as VAEOptions


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda p: p.stem)
def test_every_shipped_pipeline_is_of_a_kind_and_says_what_it_does(path: Path) -> None:
    kind_of(path, ())
    assert read_toml(path)["description"]


def missing_keys(schema: type[Any], table: dict[str, Any], path: str = "") -> list[str]:
    """Keys of a schema that a TOML table does not write out."""
    missing = []
    for field in attrs.fields(attrs.resolve_types(schema)):
        if field.name not in table:
            missing.append(path + field.name)
        elif attrs.has(field.type) and isinstance(table[field.name], dict):
            missing += missing_keys(field.type, table[field.name], f"{path}{field.name}.")
    return missing


@pytest.mark.parametrize(
    ("name", "schema", "free", "other"),
    [
        (
            "prepare_dataset", DatasetPipeline, {"face.smooth", "face.detector.options", "face.landmarks.options", "rotation.options"},
            {"inputs", "description"},
        ),
        ("train", train_schema(Options), set(), {"description"}),
        ("train_vae", schema_with(VAEPipeline, VAEOptions), set(), {"description"}),
    ],
)  # fmt: skip
def test_defaults_are_written_out_as_they_are(name: str, schema: type[Any], free: set[str], other: set[str]) -> None:
    faults = Faults()
    made: Any = read_pipeline(SHIPPED / f"{name}.toml", (), schema, faults)
    assert faults.items == []
    plain = named_parts(schema(), load_registry())
    for field in attrs.fields(schema):
        if field.name not in other:
            assert getattr(made, field.name) == getattr(plain, field.name), field.name
    assert set(missing_keys(schema, read_toml(SHIPPED / f"{name}.toml"))) - free == set()


def test_there_is_a_module_for_every_kind() -> None:
    import importlib

    for module in MODULES.values():
        assert importlib.import_module(module).KIND


def plan(path: Path, *overrides: str) -> Any:
    use_tiny_preset()
    path.write_text('kind = "train"\nmodel.preset = "tiny"\nrun.device = "cpu"\ndata.folder = "{here}/data"\n', encoding="utf-8")
    return TRAIN.load(path, overrides, load_registry())


def test_faults_of_a_training_file_are_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMFA_WEIGHTS", str(tmp_path / "none"))
    with pytest.raises(ConfigError) as caught:
        plan(tmp_path / "t.toml", "model.preset=bse", "run.batch=5", "scale.workers=2", "losses.landmark=3", "model.start=x.safetensors")
    told = str(caught.value)
    for words in (
        "did you mean 'base'?", "run.batch: 5 pairs cannot be shared evenly by 2 workers", "scale.workers: one process cannot be 2 workers",
        "there is no key 'losses.landmark'", "data.folder", "there is no data set here", "model.start: there is no file",
        "weights.vgg16_features: is needed for the losses, but is not there\n    -> mmfa plugins fetch vgg16_features",
    ):  # fmt: skip
        assert words in told, told


def test_a_training_plan_in_words_and_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dataset(tmp_path / "data")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "vgg16_features.safetensors").write_bytes(b"checked when it is read")
    monkeypatch.setenv("MMFA_WEIGHTS", str(tmp_path / "weights"))
    made = plan(tmp_path / "t.toml", f"run.folder={tmp_path / 'run'}")
    known = TRAIN.facts(made, load_registry())
    assert known["data"]["train"] == {"clips": 3, "frames": 11, "identities": 3}
    console = Console(width=200, record=True)
    console.print(TRAIN.describe(made, load_registry()))
    text = console.export_text()
    assert "val       5 frames, 1 clips and portraits of 1 people" in text
    assert "perceptual 10" in text
    assert "random weights" in text
    assert not (tmp_path / "run").exists()
