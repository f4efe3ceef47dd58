"""Ray Train with two CPU workers: gradients are shared, a worker that dies is replaced, and the run ends as an unbroken one."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from ray_workers import fail, work
from tiny_training import pipeline, use_tiny_preset, write_dataset

from mmfa_components.errors import TrainingError
from pipelines.engines.ray_train import run_workers
from pipelines.training.checkpoint import load_checkpoint

TESTS = Path(__file__).parents[1]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "losses.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: Any = load_checkpoint(folder / "checkpoint.pt", torch.device("cpu"))
    model: dict[str, torch.Tensor] = state["model"]
    return model


def test_two_workers_train_and_one_that_dies_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(TESTS.parent)]))
    use_tiny_preset()
    data = write_dataset(tmp_path / "data")
    for name, die in (("unbroken", -1), ("broken", 6)):
        config = {"pipeline": pipeline(tmp_path / name, data), "die": die, "marker": str(tmp_path / name / "died")}
        (tmp_path / name).mkdir()
        returned = run_workers(work, config, workers=2, gpu=False, name=name, storage=tmp_path / "ray")
        assert (returned["steps"], returned["samples"]) == (8, 32)
    assert (tmp_path / "broken" / "died").exists()
    assert rows(tmp_path / "unbroken") == rows(tmp_path / "broken")
    first, second = weights(tmp_path / "unbroken"), weights(tmp_path / "broken")
    assert [k for k in first if not torch.equal(first[k], second[k])] == []
    config = {"pipeline": None}
    with pytest.raises(TrainingError, match="the workers failed"):
        run_workers(fail, config, workers=1, gpu=False, name="failing", storage=tmp_path / "ray")
