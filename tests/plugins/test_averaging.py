"""Weights averaged over files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import plugins.__main__ as command
from mmfa_components.errors import OutputError, WeightsError
from mmfa_components.weights import file_digest, metadata, read_weights
from plugins.averaging import average_weights


def write(path: Path, value: float, **notes: str) -> Path:
    tensors = {"a.weight": torch.full((2, 3), value, dtype=torch.float16), "a.count": torch.tensor(int(value))}
    save_file(tensors, path, {"architecture": "it/1", **notes})
    return path


def test_the_mean_in_the_precision_of_the_files_with_what_they_say_alike(tmp_path: Path) -> None:
    files = [write(tmp_path / "one", 1.0, sizes="s", samples="3"), write(tmp_path / "two", 4.0, sizes="s", samples="5")]
    notes = average_weights([*files, files[1]], tmp_path / "mean")
    tensors = read_weights(tmp_path / "mean", "it/1")
    assert torch.equal(tensors["a.weight"], torch.full((2, 3), 3.0, dtype=torch.float16))
    assert int(tensors["a.count"]) == 1
    digests = [file_digest(path) for path in files]
    assert notes == metadata(tmp_path / "mean") == {"architecture": "it/1", "sizes": "s", "averaged": json.dumps([*digests, digests[1]])}
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two", "mean"}


def test_a_large_half_precision_sum_does_not_overflow(tmp_path: Path) -> None:
    files = [write(tmp_path / name, 60000.0) for name in ("one", "two")]
    average_weights(files, tmp_path / "mean")
    assert torch.equal(read_weights(tmp_path / "mean", "it/1")["a.weight"], torch.full((2, 3), 60000.0, dtype=torch.float16))


def test_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    one = write(tmp_path / "one", 1.0)
    with pytest.raises(WeightsError, match="1 weights file given"):
        average_weights([one], tmp_path / "mean")
    save_file({"a.weight": torch.zeros(3, 3)}, tmp_path / "two", {"architecture": "it/1"})
    with pytest.raises(WeightsError, match=r"a\.count, a\.weight") as caught:
        average_weights([one, tmp_path / "two"], tmp_path / "mean")
    assert str(tmp_path / "two") in str(caught.value)
    save_file({"a.weight": torch.zeros(2, 3)}, tmp_path / "three", {"architecture": "other/1"})
    with pytest.raises(WeightsError, match="other/1"):
        average_weights([one, tmp_path / "three"], tmp_path / "mean")
    with pytest.raises(OutputError, match="cannot be written"):
        average_weights([one, one], tmp_path / "no" / "mean")
    assert not (tmp_path / "mean").exists()


def test_the_command_says_where_the_mean_is_or_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(write(tmp_path / "one", 1.0)), str(write(tmp_path / "two", 2.0))]
    assert command.main(["average", str(tmp_path / "mean"), *files]) == 0
    assert str(tmp_path / "mean") in capsys.readouterr().out
    assert command.main(["average", str(tmp_path / "again"), files[0], str(tmp_path / "missing")]) == 2
    assert "missing" in capsys.readouterr().err
