"""Two CPU processes over gloo: the gradients of one process, the same weights on both, one of them writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_training import use_tiny_preset, write_dataset
from torchrun_worker import gradients

from mmfa_components.errors import ConfigError
from mmfa_components.registry import load_registry
from pipelines.kinds.train import KIND
from pipelines.training.group import Group
from pipelines.training.torchrun import started_group

TESTS = Path(__file__).parents[1]


def torchrun(*arguments: str) -> str:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(TESTS / "torchrun_worker.py")]
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_two_processes_have_the_gradients_of_one(tmp_path: Path) -> None:
    use_tiny_preset()
    torchrun("gradients", str(tmp_path))
    first, second = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    wanted = gradients(Group(), 3)
    assert first.keys() == second.keys() == wanted.keys()
    assert len(wanted) > 50
    largest = max(float(v.abs().max()) for v in wanted.values())
    for name, value in wanted.items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], value, rtol=1e-3, atol=1e-5 * largest, msg=name)


def test_a_run_of_two_processes_leaves_one_set_of_files(tmp_path: Path) -> None:
    use_tiny_preset()
    data = write_dataset(tmp_path / "data")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "vgg16_features.safetensors").touch()
    file = tmp_path / "t.toml"
    file.write_text(
        'kind = "train"\nmodel.preset = "tiny"\nlosses.landmarks = 0.0\n'
        f'data.folder = "{data}"\nscale.engine = "torchrun"\n'
        f'[run]\nfolder = "{tmp_path / "run"}"\nsteps = 4\nbatch = 4\nlog = 1\nsave = 2\npicture = 0\ntensorboard = false\ndevice = "cpu"\n',
        encoding="utf-8",
    )
    said = torchrun("run", str(tmp_path / "weights"), str(file))
    assert said.count("4 steps, 16 pairs") == 1
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert (report["steps"], report["samples"]) == (4, 16)
    assert (tmp_path / "run" / "mmfa_tiny.safetensors").is_file()
    said = torchrun("run", str(tmp_path / "weights"), str(file), "--set", "run.steps=6")
    assert said.count("going on from step 4 (16 pairs)") == 1
    assert json.loads((tmp_path / "run" / "report.json").read_text())["steps"] == 6


def test_without_torchrun_the_way_to_start_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="torchrun --nproc-per-node 2"):
        started_group()
    file = tmp_path / "t.toml"
    file.write_text('kind = "train"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"scale\.engine: this process was not started by torchrun"):
        KIND.load(file, ["scale.engine=torchrun"], load_registry())
    for name, value in (("RANK", "1"), ("LOCAL_RANK", "1"), ("WORLD_SIZE", "3")):
        monkeypatch.setenv(name, value)
    assert started_group() == Group(1, 3)
    with pytest.raises(ConfigError, match="25 pairs cannot be shared evenly by 3 workers"):
        KIND.load(file, ["scale.engine=torchrun", "run.batch=25"], load_registry())
