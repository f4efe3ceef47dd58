"""Whole runs on a small data set: files, going on, kills, limits, errors."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from tiny_training import SIDE, SIZES, judges, pipeline, use_tiny_preset, write_dataset

from mmfa_components.errors import DatasetError, TrainingError
from mmfa_components.registry import load_registry
from mmfa_components.weights import metadata
from pipelines.media import read_image
from pipelines.training.checkpoint import load_checkpoint
from pipelines.training.dataset import load_clips
from pipelines.training.loop import LoopResult
from pipelines.training.report import report_of
from pipelines.training.schema import TrainPipeline
from pipelines.training.session import run_session
from plugins.mmfa import presets
from plugins.mmfa.model import MMFAModel
from plugins.mmfa.training.recipe import LABELS, fit_pose_part

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    use_tiny_preset()
    return write_dataset(tmp_path_factory.mktemp("data"))


def run(made: TrainPipeline) -> tuple[LoopResult, str]:
    text = io.StringIO()
    result = run_session(made, Console(file=text, width=200), judges=judges())
    return result, text.getvalue()


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "losses.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: Any = load_checkpoint(folder / "checkpoint.pt", torch.device("cpu"))
    return {f"{part}.{k}": v for part in ("model", "averaged", "discriminator") for k, v in state[part].items()}


def assert_equal_runs(a: Path, b: Path) -> None:
    assert rows(a) == rows(b)
    first, second = weights(a), weights(b)
    assert first.keys() == second.keys()
    assert [k for k in first if not torch.equal(first[k], second[k])] == []


@pytest.fixture(scope="module")
def unbroken(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    run(pipeline(folder, data))
    return folder


def test_a_run_leaves_its_files(data: Path, tmp_path: Path) -> None:
    result, text = run(pipeline(tmp_path, data, picture=4, validate=4, tensorboard=True))
    assert (result.steps, result.samples, result.interrupted) == (8, 32, False)
    assert result.figures["psnr"] > 5
    assert result.figures["psnr_repeated"] > 5
    assert "11 frames in 3 clips and portraits to learn from" in text
    assert metadata(tmp_path / "mmfa_tiny.safetensors")["architecture"] == "mmfa/tiny/3"
    assert metadata(tmp_path / "mmfa_tiny.safetensors")["samples"] == "32"
    assert [r["step"] for r in rows(tmp_path)] == [str(i) for i in range(1, 9)]
    assert rows(tmp_path)[0]["adversarial"] == ""
    assert float(rows(tmp_path)[-1]["adversarial"]) > 0
    assert float(rows(tmp_path)[-1]["total"]) > float(rows(tmp_path)[-1]["perceptual"]) * 9
    assert read_image(tmp_path / "pictures" / "step_0000004.png").rgb.shape == (SIDE, 2 * 3 * SIDE, 3)
    events = next((tmp_path / "tensorboard").glob("events*"))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(events.parent))
    read.Reload()
    assert {"losses/perceptual", "rate", "val/psnr"} <= set(read.Tags()["scalars"])
    assert read.Tags()["images"] == ["val"]
    report = report_of(pipeline(tmp_path, data), result, load_registry(), Console(file=io.StringIO()))
    assert report.exit_code == 0
    assert json.loads((tmp_path / "report.json").read_text())["samples"] == 32


def test_a_second_call_goes_on_and_gives_what_an_unbroken_run_gives(data: Path, unbroken: Path, tmp_path: Path) -> None:
    run(pipeline(tmp_path, data, steps=5))
    result, text = run(pipeline(tmp_path, data))
    assert "going on from step 5" in text
    assert result.steps == 8
    assert_equal_runs(unbroken, tmp_path)


def test_a_finished_run_has_nothing_to_do(data: Path, tmp_path: Path) -> None:
    run(pipeline(tmp_path, data, steps=2))
    before = weights(tmp_path)
    result, _ = run(pipeline(tmp_path, data, steps=2))
    assert result.steps == 2
    assert all(torch.equal(v, before[k]) for k, v in weights(tmp_path).items())


def test_a_killed_run_goes_on_from_its_checkpoint_with_the_same_losses(data: Path, unbroken: Path, tmp_path: Path) -> None:
    """kill -9 in the seventh step, after the checkpoint of the fourth: rows of the lost steps are written anew."""
    script = f"""
        import os, signal, sys
        sys.path.insert(0, {str(TESTS)!r})
        from pathlib import Path
        from rich.console import Console
        from tiny_training import judges, pipeline, use_tiny_preset
        from pipelines.training.session import run_session
        from pipelines.training.trainer import Trainer
        use_tiny_preset()
        step = Trainer.train_step
        def deadly(self, clips):
            if self.step == 6:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(self, clips)
        Trainer.train_step = deadly
        run_session(pipeline(Path({str(tmp_path)!r}), Path({str(data)!r})), Console(), judges=judges())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=TESTS.parent, capture_output=True, check=False, timeout=120)
    assert done.returncode == -9, done.stderr.decode()
    assert [r["step"] for r in rows(tmp_path)] == [str(i) for i in range(1, 7)]
    _, text = run(pipeline(tmp_path, data))
    assert "going on from step 4" in text
    assert_equal_runs(unbroken, tmp_path)


def test_ctrl_c_keeps_the_step_reached(data: Path, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.training.trainer import Trainer

    step = Trainer.train_step

    def pressed(self: Trainer, clips: Any) -> Any:
        if self.step == 3:
            raise KeyboardInterrupt
        return step(self, clips)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "train_step", pressed)
        result, _ = run(pipeline(tmp_path, data))
    assert (result.steps, result.interrupted) == (3, True)
    assert report_of(pipeline(tmp_path, data), result, load_registry(), Console(file=io.StringIO())).exit_code == 130
    run(pipeline(tmp_path, data))
    assert_equal_runs(unbroken, tmp_path)


def test_the_minutes_end_a_call(data: Path, tmp_path: Path) -> None:
    result, _ = run(pipeline(tmp_path, data, steps=10**6, minutes=0.02))
    assert 0 < result.steps < 10**5
    assert (tmp_path / "checkpoint.pt").is_file()


def test_frames_from_disk_and_from_memory_are_the_same(data: Path) -> None:
    cpu = torch.device("cpu")
    memory, disk = (load_clips(data, "train", hold, cpu, LABELS) for hold in ("memory", "disk"))
    index = torch.tensor([10, 0, 6, 3])
    held, read = memory.frames(index), disk.frames(index)
    assert held.keys() == {"image", *LABELS}
    assert all(torch.equal(held[name], read[name]) for name in held)
    assert memory.lengths.tolist() == [6, 1, 4]


def test_a_start_is_taken_only_by_a_new_run(data: Path, unbroken: Path, tmp_path: Path) -> None:
    made = pipeline(tmp_path, data, steps=1)
    made = attrs.evolve(made, model=attrs.evolve(made.model, start=str(unbroken / "mmfa_tiny.safetensors")))
    _, text = run(made)
    assert f"starting from {unbroken}" in text
    _, text = run(made)
    assert "going on from step 1" in text


def test_errors_name_what_is_wrong(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no data set here"):
        run(pipeline(tmp_path / "run", tmp_path))
    made = pipeline(tmp_path / "run", data)
    with pytest.raises(DatasetError, match="its crops have 64 pixels, the networks take 256"):
        run(attrs.evolve(made, model=attrs.evolve(made.model, preset="base")))
    (tmp_path / "run").mkdir(exist_ok=True)
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"cut off")
    with pytest.raises(TrainingError, match="cannot be read"):
        run(pipeline(tmp_path / "run", data))
    store = write_dataset(tmp_path / "data2")
    for marker in (store / "store").rglob("complete.json"):
        marker.unlink()
    with pytest.raises(DatasetError, match="train0 is missing from the store or damaged"):
        load_clips(store, "train", "memory", torch.device("cpu"), LABELS)
    alone = write_dataset(tmp_path / "data3", val=())
    with pytest.raises(DatasetError, match="holds no clips of the split 'val'"):
        load_clips(alone, "val", "memory", torch.device("cpu"), LABELS)


def test_without_held_out_people_there_are_no_figures(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "data", val=())
    result, text = run(pipeline(tmp_path / "run", folder, steps=1))
    assert result.figures == {}
    assert "no held-out people" in text


def test_weights_of_a_model_that_reads_landmarks_hold_what_the_pose_puts_in(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(presets.PRESETS, "tiny", presets.preset_of(attrs.evolve(SIZES, expression_input="shape")))
    run(pipeline(tmp_path, data, steps=2))
    found = load_file(tmp_path / "mmfa_tiny.safetensors")["expression_pose.weight"]
    assert found.shape == (5, 8)
    assert float(found.abs().sum()) > 0
    clips = load_clips(data, "train", "memory", torch.device("cpu"), LABELS)
    model = MMFAModel(presets.PRESETS["tiny"].sizes).eval()
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in load_file(tmp_path / "mmfa_tiny.safetensors").items()})
    fit_pose_part(model, clips)
    torch.testing.assert_close(model.expression_pose.weight.half(), found, atol=0.05, rtol=0.05)
