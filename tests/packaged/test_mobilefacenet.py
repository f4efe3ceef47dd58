"""MobileFaceNet: read out of its model, it computes what that says; CSIM takes it as a second backbone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from archives import mobilefacenet_constants, onnx_model
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from mmfa_components.errors import MMFAError, WeightsError
from mmfa_components.folders import WEIGHTS_VARIABLE
from mmfa_components.registry import load_registry
from mmfa_components.weights import load_into
from plugins.packaged.convert import convert_mobilefacenet
from plugins.packaged.mobilefacenet import MobileFaceNet

HALVING = (0, 5, 12)
"""Which of the fifteen blocks halve the map; the others have a residual."""


def as_the_model_says(crops: Tensor, kernels: list[Tensor], biases: list[Tensor], slopes: list[Tensor]) -> Tensor:
    layers, bends = iter(zip(kernels, biases, strict=True)), iter(slopes)

    def conv(x: Tensor, stride: int = 1, bend: bool = True) -> Tensor:
        kernel, bias = next(layers)
        groups = len(kernel) if kernel.shape[1] == 1 else 1
        padding = 1 if kernel.shape[-1] == 3 else 0
        x = functional.conv2d(x, kernel, bias, stride, padding, groups=groups)
        return functional.prelu(x, next(bends).flatten()) if bend else x

    x = conv(conv((crops * 255 - 127) / 128, 2))
    for block in range(15):
        y = conv(conv(conv(x), 2 if block in HALVING else 1), bend=False)
        x = y if block in HALVING else x + y
    x = conv(conv(conv(x), bend=False), bend=False)
    assert next(layers, None) is None
    assert next(bends, None) is None
    return x.flatten(1)


def test_it_computes_what_its_model_says() -> None:
    constants, *parts = mobilefacenet_constants()
    network = MobileFaceNet().eval()
    load_into(network, convert_mobilefacenet(onnx_model(constants)), "test")
    crops = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(1))
    wanted = as_the_model_says(crops, *parts)
    assert wanted.shape == (2, 512)
    assert wanted.std() > 0.1
    assert (network(crops) - wanted).norm() / wanted.norm() < 0.02  # half precision through fifty layers
    image = crops.clone().requires_grad_(True)
    network(image)[0].sum().backward()
    assert image.grad is not None
    assert float(image.grad[0].abs().sum()) > 0
    assert float(image.grad[1].abs().sum()) == 0


def test_another_model_is_refused() -> None:
    constants, *_ = mobilefacenet_constants()
    for wrong in ({k: v for k, v in constants.items() if k != "521"}, constants | {"521": torch.zeros(63, 1, 3, 3)}):
        with pytest.raises(WeightsError, match="is not the expected model"):
            convert_mobilefacenet(onnx_model(wrong))


def test_csim_takes_it_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path))
    registry = load_registry()
    context = registry.context()
    with pytest.raises(WeightsError, match="mmfa plugins fetch mobilefacenet"):
        registry.build("metric", "csim", {"backbone": "mobilefacenet"}, context)
    constants, *_ = mobilefacenet_constants()
    save_file(convert_mobilefacenet(onnx_model(constants)), tmp_path / "mobilefacenet.safetensors", {"architecture": "mobilefacenet/1"})
    metric = registry.build("metric", "csim", {"backbone": "mobilefacenet"}, context)
    assert metric.facts.title == "CSIM"
    assert metric.facts.backbone.startswith("MobileFaceNet, 512 numbers")
    with pytest.raises(MMFAError, match="backbone"):
        registry.build("metric", "csim", {"backbone": "arcface"}, context)
