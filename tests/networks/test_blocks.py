"""Convolutions before batch norms, with and without their biases."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from mmfa_components.networks.blocks import ConvBlock, DownBlock, ResBlock, ResBottleneck, UpBlock
from mmfa_components.networks.norms import conv_norm, fold_norms, idle_biases

BLOCKS = [ConvBlock(2, 3, 5), ConvBlock(3, 3, 5), DownBlock(3, 3, 5), UpBlock(2, 3, 5), ResBlock(2, 3), ResBlock(3, 3), ResBottleneck(3, 6, 2)]
NAMES = [f"{type(block).__name__}-{i}" for i, block in enumerate(BLOCKS)]


def with_biases(block: nn.Module) -> nn.Module:
    """The block in double precision, with biases and running means that are not small."""
    block = copy.deepcopy(block).double()
    for name, tensor in block.state_dict().items():
        if name.endswith(("bias", "running_mean")):
            tensor.copy_(torch.randn_like(tensor) + 2)
    return block


def images_or_volumes(block: nn.Module, count: int) -> torch.Tensor:
    volume = any(isinstance(m, nn.Conv3d) for m in block.modules())
    return torch.randn(count, 3, *((2, 8, 8) if volume else (8, 8)), dtype=torch.float64)


def plainly(convolution: nn.Module, normalisation: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return normalisation(convolution(x))


def computed_plainly(one: nn.Module, x: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """A copy of the block that has gone forward and back with plain norms, as ``one`` has with its own; both give the same."""
    other = copy.deepcopy(one)
    results = one(x)
    results.square().sum().backward()
    monkeypatch.setattr("mmfa_components.networks.blocks.conv_norm", plainly)
    expected = other(x)
    expected.square().sum().backward()
    torch.testing.assert_close(results, expected)
    return other


@pytest.mark.parametrize("block", BLOCKS, ids=NAMES)
def test_left_out_biases_change_neither_result_nor_statistics_nor_gradients(block: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    one = with_biases(block)
    other = computed_plainly(one, images_or_volumes(block, 2), monkeypatch)
    for (name, value), wanted in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(value, wanted, msg=name)
    idle = {id(bias) for bias in idle_biases(one)}
    for (name, value), (_, wanted) in zip(one.named_parameters(), other.named_parameters(), strict=True):
        assert wanted.grad is not None
        if id(value) in idle:
            assert value.grad is None
            assert wanted.grad.abs().max() < 1e-9, name
        else:
            torch.testing.assert_close(value.grad, wanted.grad, msg=name)


@pytest.mark.parametrize("block", BLOCKS, ids=NAMES)
def test_norms_with_running_statistics_go_into_the_convolution_unchanged(block: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(5)
    one = with_biases(block).eval()
    for name, tensor in one.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(torch.rand_like(tensor) + 0.5)
    other = computed_plainly(one, images_or_volumes(block, 2), monkeypatch)
    for (name, value), wanted in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(value, wanted), name
    for (name, value), (_, wanted) in zip(one.named_parameters(), other.named_parameters(), strict=True):
        torch.testing.assert_close(value.grad, wanted.grad, msg=name)


@pytest.mark.parametrize("block", BLOCKS, ids=NAMES)
def test_at_rest_the_bias_counts_and_folding_keeps_it(block: nn.Module) -> None:
    torch.manual_seed(4)
    still = with_biases(block).eval().requires_grad_(False)
    x = images_or_volumes(block, 1)
    expected = still(x)
    for bias in idle_biases(still):
        kept = bias.clone()
        bias += 1
        assert not torch.allclose(still(x), expected)
        bias.copy_(kept)
    fold_norms(still)
    torch.testing.assert_close(still(x), expected)


def test_the_norm_decides_whether_the_bias_is_left_out() -> None:
    convolution, normalisation = nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3).eval()
    x = torch.randn(2, 2, 4, 4)
    torch.testing.assert_close(conv_norm(convolution, normalisation, x), normalisation(convolution(x)))
    conv_norm(convolution, normalisation, x).sum().backward()
    assert convolution.bias is not None
    assert convolution.bias.grad is not None
