"""Training some of the networks only."""

from __future__ import annotations

import pytest
import torch
from test_trainer import trainer
from tiny_training import SIDE, source

from mmfa_components.errors import TrainingError
from pipelines.run import main
from plugins.mmfa.training.options import Model


def test_what_is_not_named_stays_as_it_is_to_the_last_buffer() -> None:
    made = trainer(model=Model(preset="tiny", trained=("generator", "dense_motion.occlusion")))
    before = {name: value.clone() for name, value in made.model.state_dict().items()}
    for _ in range(3):
        losses = made.train_step(source())
    assert "equivariance" in losses  # told, though nothing learns from it
    changed = {name for name, value in made.model.state_dict().items() if not torch.equal(value, before[name])}
    assert {name.split(".")[0] for name in changed} == {"generator", "dense_motion"}
    assert {name for name in changed if name.startswith("dense_motion")} == {"dense_motion.occlusion.weight", "dense_motion.occlusion.bias"}
    assert any("running_mean" in name for name in changed)
    assert {name for name, p in made.model.named_parameters() if not p.requires_grad}.isdisjoint(changed)


def test_going_on_with_some_networks_is_the_same_as_never_having_stopped() -> None:
    unbroken, first, second = (trainer(model=Model(preset="tiny", trained=("generator",))) for _ in range(3))
    for _ in range(4):
        unbroken.train_step(source())
    for _ in range(2):
        first.train_step(source())
    second.restore(first.state(), "here")
    for _ in range(2):
        second.train_step(source())
    one, other = unbroken.model.state_dict(), second.model.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_running_statistics_stay_and_training_sees_what_is_used() -> None:
    made = trainer(model=Model(preset="tiny", norms="running", start="given"))
    parts = ("running_mean", "running_var", "num_batches_tracked")
    before = {name: value.clone() for name, value in made.model.state_dict().items()}
    made.train_step(source())
    after = made.model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before if name.endswith(parts))
    assert not torch.equal(after["generator.flatten.norm.weight"], before["generator.flatten.norm.weight"])  # its factor is trained
    images = torch.rand(3, 3, SIDE, SIDE)
    for model, alike in ((made.model, True), (trainer().model, False)):  # whether an image's neighbours in the batch count
        assert model.training
        together, alone = model.appearance_extractor(images)[:1], model.appearance_extractor(images[:1])
        assert torch.allclose(together, alone, atol=1e-4) is alike


def test_running_statistics_need_a_file_to_come_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--dry-run", "--set", "model.norms=running"]) == 2
    assert 'model.norms: "running" keeps the statistics of a weights file, but model.start names none' in capsys.readouterr().err


def test_a_name_of_nothing_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(TrainingError, match="'generater'") as caught:
        trainer(model=Model(preset="tiny", trained=("generater",)))
    assert "generator" in caught.value.fix
    with pytest.raises(TrainingError, match="nothing to train"):
        trainer(model=Model(preset="tiny", trained=("expression_pose",)))  # fitted, not trained


def test_a_plan_tells_wrong_names_and_an_unknown_preset_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--dry-run", "--set", 'model.trained=["generater"]']) == 2
    assert "model.trained: nothing to train is called 'generater'" in capsys.readouterr().err
    assert main(["train", "--dry-run", "--set", 'model.trained=["generater"]', "--set", "model.preset=bass"]) == 2
    assert capsys.readouterr().err.count("no preset is called 'bass'") == 1
