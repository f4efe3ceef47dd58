"""Converted networks on the CPU: onnxruntime gives what torch gives, and the same bits however it is called."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

import plugins.facemesh as facemesh
from mmfa_components.perception.graph import GraphNetwork
from mmfa_components.perception.onnx_graph import OnnxRunner
from mmfa_components.weights import metadata, read_weights

FOLDER = Path(facemesh.__file__).parent
NETWORKS = [("face_detector", 128), ("face_landmarks", 256)]
ARCHITECTURES = {"face_detector": "facemesh-detector/1", "face_landmarks": "facemesh-landmarks/1"}


def made(name: str) -> tuple[GraphNetwork, dict[str, Any]]:
    path = FOLDER / f"{name}.safetensors"
    program = json.loads(metadata(path)["program"])
    parts = {
        "steps": program["steps"],
        "tensors": read_weights(path, ARCHITECTURES[name]),
        "inputs": program["input"],
        "outputs": program["outputs"],
    }
    return GraphNetwork(**parts).eval(), parts


@pytest.mark.parametrize(("name", "side"), NETWORKS)
def test_values_are_those_of_torch(name: str, side: int) -> None:
    network, _ = made(name)
    image = torch.rand(3, 3, side, side, generator=torch.Generator().manual_seed(0))
    fast = network(image)
    slow = network(image.clone().requires_grad_())
    assert all(one.requires_grad for one in slow)
    assert not any(one.requires_grad for one in fast)
    for one, other in zip(fast, slow, strict=True):
        assert one.shape == other.shape
        assert (one - other).abs().max() < 1e-5 * other.abs().max()


@pytest.mark.parametrize(("name", "side"), NETWORKS)
def test_bits_depend_neither_on_the_batch_nor_on_the_threads(name: str, side: int) -> None:
    _, parts = made(name)
    image = torch.rand(5, 3, side, side, generator=torch.Generator().manual_seed(1))
    whole = OnnxRunner(**parts, threads=1)(image)
    two = OnnxRunner(**parts, threads=2)
    single = [
        torch.cat(rows) for rows in zip(*(two(image[i : i + 1]) for i in range(5)), strict=True)
    ]
    assert all(torch.equal(one, other) for one, other in zip(whole, single, strict=True))


def test_gradients_reach_the_image() -> None:
    network, _ = made("face_landmarks")
    image = torch.rand(1, 3, 256, 256, requires_grad=True)
    (slope,) = torch.autograd.grad(network(image)[0].sum(), image)
    assert slope.abs().sum() > 0


def test_networks_in_use_can_be_copied_and_sent() -> None:
    network, _ = made("face_detector")
    image = torch.rand(1, 3, 128, 128)
    first = network(image)
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert all(torch.equal(a, b) for a, b in zip(first, other(image), strict=True))


def test_nothing_in_gives_nothing() -> None:
    network, _ = made("face_landmarks")
    points, presence = network(torch.zeros(0, 3, 256, 256))
    assert len(points) == 0
    assert len(presence) == 0
