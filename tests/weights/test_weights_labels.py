"""Weights say their licence, and results made with them stay known when only that was added."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import plugins.__main__ as command
from mmfa_components.errors import WeightsError
from mmfa_components.weights import WeightsCatalogue, WeightsFile, file_digest, metadata, read_weights
from plugins.labels import label_weights


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "net.safetensors"
    save_file({"a": torch.arange(6.0).half(), "b": torch.tensor([3])}, path, {"architecture": "net/1", "steps": "7"})
    return path


def test_labels_are_added_and_tensors_stay(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "labelled.safetensors"
    given = ["--license", "CC0-1.0", "--version", "2", "--source", "here"]
    assert command.main(["label", str(file), str(out), *given]) == 0
    assert "license: CC0-1.0" in capsys.readouterr().out
    assert metadata(out) == {"architecture": "net/1", "steps": "7", "license": "CC0-1.0", "version": "2", "source": "here"}
    before, after = read_weights(file, "net/1"), read_weights(out, "net/1")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) and before[name].dtype == after[name].dtype for name in before)


def test_no_label_or_an_unknown_one_is_refused(file: Path) -> None:
    for wrong in ({}, {"license": " "}, {"licence": "x"}):
        with pytest.raises(WeightsError, match="label"):
            label_weights(file, file, wrong)


def test_results_are_known_by_the_earlier_digest_of_the_same_tensors(file: Path, tmp_path: Path) -> None:
    before = file_digest(file)
    label_weights(file, file, {"license": "CC0-1.0"})
    assert file_digest(file) != before
    shipped = WeightsFile("net", file, "net/1", file_digest(file), same_as=before)
    assert WeightsCatalogue.of([shipped]).digest("net") == before
    own = tmp_path / "own.safetensors"
    own.write_bytes(file.read_bytes())
    assert WeightsCatalogue.of([shipped], {"net": own}).digest("net") == file_digest(file)
