"""CUDA graphs: what can be said of them without a GPU."""

from __future__ import annotations

import pytest
import torch
from test_trainer import trainer
from tiny_training import source
from torch import nn

from pipelines.training import trainer as training
from pipelines.training.buffers import buffers_kept
from pipelines.training.graphs import inputs_seen
from pipelines.training.group import Group
from plugins.mmfa.model import PARTS
from plugins.mmfa.training.objective import AnimationObjective


def test_inputs_of_every_network_are_seen_with_their_wish_for_gradients() -> None:
    made = trainer()
    assert isinstance(made.objective, AnimationObjective)
    pairs, transform = made.batch(source())
    with inputs_seen(made.model, PARTS) as seen:
        made.recipe.rehearse(made.objective, pairs, transform)
    assert set(seen) == set(PARTS)
    assert not any(x.requires_grad for x in seen["expression_encoder"])
    assert all(x.requires_grad and x.is_leaf for x in seen["dense_motion"])
    assert seen["keypoint_detector"][0].shape == (3 * len(pairs), 3, 64, 64)
    assert seen["expression_decoder"][1].shape[0] == 4 * len(pairs)
    with inputs_seen(made.model, PARTS) as later:
        pass
    assert later == {}


def test_buffers_are_put_back_unless_told_otherwise() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    before = {name: b.clone() for name, b in network.named_buffers()}
    with buffers_kept(network):
        network(torch.randn(5, 3))
        assert not torch.equal(network[1].running_mean, before["1.running_mean"])
    assert all(torch.equal(b, before[name]) for name, b in network.named_buffers())
    with buffers_kept(network) as kept:
        network(torch.randn(5, 3))
        kept.put_back = False
    assert not torch.equal(network[1].running_mean, before["1.running_mean"])


def test_the_recording_comes_once_and_before_the_processes_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    made, order = trainer(), []
    made.to_record = True  # as on a GPU

    class Watched(Group):
        def wrap(self, module: nn.Module, device: torch.device, some_unused: bool = False) -> nn.Module:
            order.append(f"joined {type(module).__name__}")
            return module

    made.group = Watched()
    monkeypatch.setattr(training, "record_networks", lambda model, parts, forward, precision: (order.append("recorded"), forward()))
    monkeypatch.setattr(training, "record_function", lambda function, sample: function)
    for _ in range(2):
        made.train_step(source())
    assert order == ["recorded", "joined AnimationObjective", "joined PatchDiscriminator"]


def test_without_a_gpu_the_option_changes_nothing() -> None:
    plain, asked = trainer(), trainer(graphs=True)
    for _ in range(2):
        one, other = plain.train_step(source()), asked.train_step(source())
    assert all(torch.equal(one[name], other[name]) for name in one)
