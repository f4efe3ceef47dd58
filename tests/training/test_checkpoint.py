"""Checkpoints and weights on a disk that has no room."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mmfa_components.errors import OutputError
from mmfa_components.weights import read_weights, write_weights
from pipelines.training.checkpoint import load_checkpoint, save_checkpoint

CPU = torch.device("cpu")


@contextlib.contextmanager
def room_for(size: int) -> Iterator[None]:
    """Files cannot grow beyond ``size`` bytes inside the block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_checkpoint_without_room_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"step": 1, "x": torch.ones(3)})
    with room_for(20_000), pytest.raises(OutputError, match="checkpoint cannot be written") as caught:
        save_checkpoint(path, {"step": 2, "x": torch.randn(100_000)})
    assert "goes on from the checkpoint before" in caught.value.fix
    assert load_checkpoint(path, CPU)["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_weights_without_room_leave_those_before(tmp_path: Path) -> None:
    path = tmp_path / "it.safetensors"
    write_weights(path, {"x": torch.ones(3)}, {"architecture": "it/1"})
    with room_for(20_000), pytest.raises(OutputError, match=r"weights cannot be written.*it\.safetensors|it\.safetensors.*weights cannot be written"):
        write_weights(path, {"x": torch.randn(100_000)}, {"architecture": "it/1"})
    assert torch.equal(read_weights(path, "it/1")["x"], torch.ones(3))
    assert [p.name for p in tmp_path.iterdir()] == ["it.safetensors"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    for save in (lambda path: save_checkpoint(path, {"step": 1}), lambda path: write_weights(path, {}, {}, "do this")):
        with pytest.raises(OutputError) as caught:
            save(tmp_path / "no" / "file")
        assert str(tmp_path / "no" / "file") in str(caught.value)
