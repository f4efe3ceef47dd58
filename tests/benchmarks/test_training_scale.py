"""The benchmark of training on several workers: a rehearsal with two processes, and the arithmetic of its rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed

from benchmarks import training_scale
from benchmarks.training_worker import Setting, loss_curve
from pipelines.engines.ray_train import Place

CURVES = {"losses": [4.0, 2.0], "losses_by_pair": [4.0, 2.0]}
TIMES = {"images_per_second": 100.0, "ms_per_step": 120.0, "ms_alone_by_worker": [110.0], "workers": 1, **CURVES}


def test_where_the_lost_time_went() -> None:
    first = training_scale.completed({**TIMES, "losses_again": [4.0, 2.02]}, [{"error": "x"}])
    assert (first["efficiency"], first["loss_difference"], first["loss_difference_again"]) == (1.0, 0.0, 0.01)
    second = {**TIMES, "workers": 2, "images_per_second": 180.0, "ms_per_step": 133.0, "ms_alone_by_worker": [115.0, 119.0], "losses": [4.2, 2.0]}
    row = training_scale.completed(second, [{"error": "x"}, first])
    assert row["efficiency"] == 0.9
    assert (row["synchronisation_ms"], row["imbalance_ms"], row["not_synchronisation_ms"]) == (14.0, 2.0, 9.0)
    assert (row["ms_alone_min"], row["ms_alone_max"], row["loss_difference"], row["loss_difference_by_pair"]) == (115.0, 119.0, 0.05, 0.0)
    assert training_scale.completed({"error": "y"}, [first]) == {"error": "y"}


def place(rank: int = 0, world: int = 1) -> Place:
    return Place(rank, world, torch.device("cpu"), None, lambda folder, files, step: None)


def one_of_two(rank: int, function: Callable[[Any, Place], Any], config: Any, folder: str) -> None:
    """A process of a group over gloo, as Ray Train starts them (which tests/training/test_ray_train.py is about)."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    returned = function(config, place(rank, 2))
    (Path(folder) / f"returned{rank}.json").write_text(json.dumps(returned), encoding="utf-8")
    distributed.destroy_process_group()


def test_a_rehearsal_of_two_workers_loses_as_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_workers(function: Callable[[Any, Place], Any], config: Any, *, workers: int, gpu: bool, failures: int, **rest: Any) -> Any:
        assert (workers, gpu, failures) == (2, False, 0)
        torch.multiprocessing.spawn(one_of_two, (function, config, str(tmp_path)), nprocs=2)
        first, second = (json.loads((tmp_path / f"returned{rank}.json").read_text()) for rank in (0, 1))
        assert {**first, "all_reduce_alone_ms": 0} == {**second, "all_reduce_alone_ms": 0}  # all else is of all workers
        return first

    monkeypatch.setattr(training_scale, "run_workers", run_workers)
    out = tmp_path / "row.json"
    assert training_scale.main(["--rehearse", "--workers", "2", "--row", str(out)]) == 0
    row = json.loads(out.read_text())
    assert (row["workers"], row["batch_per_worker"], row["device"]) == (2, 4, "cpu")
    assert len(row["ms_alone_by_worker"]) == len(row["pairs_ms_by_worker"]) == 2
    assert min(*row["ms_alone_by_worker"], *row["pairs_ms_by_worker"], row["all_reduce_alone_ms"], row["gradient_mb"]) > 0
    setting = Setting("tiny", batch=4, loss_steps=2)
    one = loss_curve(setting, place(), by_pair=True)
    assert len(row["losses"]) == len(row["losses_by_pair"]) == 2
    assert training_scale.difference(row["losses_by_pair"], one["total"]) < 1e-4
    assert training_scale.difference(row["losses"], one["total"]) > 1e-2  # the norms do make a difference


def test_too_few_gpus_and_uneven_shares_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    if not torch.cuda.is_available():
        assert training_scale.main(["--workers", "1"]) == 2
        assert "0 GPUs here, 1 asked for" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        training_scale.main(["--workers", "5", "--batch", "24"])
    assert "multiple" in capsys.readouterr().err
