"""The benchmark of a batch on several GPUs: a rehearsal with two actors, and the arithmetic of its rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import ray_gpus
from benchmarks.demo_clips import make_clips


def test_a_rehearsal_with_two_actors(tmp_path: Path) -> None:
    out, made = tmp_path / "row.json", tmp_path / "made"
    made.mkdir()
    make_clips(made, 3, 4, 12)
    assert ray_gpus.main(["--rehearse", "--gpus", "2", "--made", str(made), "--row", str(out)]) == 0
    row = json.loads(out.read_text())
    assert (row["gpus_used"], row["actors"], row["rendered_frames"]) == (2, 2, 3 * 4 + 12)
    assert row["decomposed_frames"] == row["rendered_frames"]  # no clip was taken for another
    assert 0 < row["computing_s"] <= row["wall_s"]
    assert 0 <= row["tail_s"] < row["computing_s"]
    assert 0 <= row["write_tail_s"] < row["computing_s"]
    assert 0 < row["gpus"]["cpu"]["actors_busy_share"] <= 1


def test_rows_by_gpu_tails_and_efficiency() -> None:
    row = {"gpu_of_actor": ["0", "1", "0"], "busy_share": [0.5, 1.0, 0.7], "actor_rates": [10.0, 20.0, 5.0], "idle_at_end_s": [4.0, 1.0, 1.5]}
    seen = {"0": {"busy_share": 0.8}, "1": {"busy_share": 0.9}}
    assert ray_gpus.by_gpu(row, seen) == {
        "0": {"busy_share": 0.8, "actors_busy_share": 0.6, "units_frames_per_s": 15.0},
        "1": {"busy_share": 0.9, "actors_busy_share": 1.0, "units_frames_per_s": 20.0},
    }
    assert ray_gpus.tails(row) == {"tail_s": 3.0, "write_tail_s": 1.0}
    first = {"gpus_used": 1, "frames_per_s": 100.0, "computing_s": 10.0}
    second = ray_gpus.completed({"gpus_used": 2, "frames_per_s": 180.0, "computing_s": 5.2}, [{"error": "x"}, first])
    assert (second["efficiency"], second["efficiency_of_computing"]) == (0.9, 0.962)
    assert ray_gpus.completed({"error": "y"}, [first]) == {"error": "y"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a GPU")
def test_too_few_gpus_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert ray_gpus.main(["--gpus", "2"]) == 2
    assert "0 GPUs here, 2 asked for" in capsys.readouterr().err
