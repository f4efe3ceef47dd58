"""Packages made by hand in the layout of the real ones: numpy pickles in a source distribution, an ONNX model in a wheel."""

from __future__ import annotations

import io
import math
import pickle
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from plugins.packaged.mobilefacenet import MobileFaceNet
from plugins.packaged.sface import SFaceNetwork


def write_sdist(path: Path, member: str, data: bytes) -> Path:
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in (("pkg-1/README.md", b"hello"), (f"pkg-1/{member}", data)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def write_wheel(path: Path, member: str, data: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.txt", "hello")
        archive.writestr(member, data)
    return path


def pickled(tensors: Iterable[Tensor]) -> bytes:
    """The raw bytes of tensors in a pickle of protocol 3, beside things that are no arrays."""
    return pickle.dumps({"names": ["a", "b"], "arrays": [t.contiguous().numpy().tobytes() for t in tensors]}, protocol=3)


def as_stored(convolutions: nn.ModuleList) -> list[Tensor]:
    """Kernels as (h, w, I, O), each followed by its bias, as the package keeps them."""
    stored: list[Tensor] = []
    for layer in convolutions:
        assert isinstance(layer, nn.Conv2d)
        assert layer.bias is not None
        stored += [layer.weight.detach().permute(2, 3, 1, 0), layer.bias.detach()]
    return stored


# ---- ONNX: just enough protobuf to write constants ----------------------------------------------------------------------
def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while True:
        low, value = value & 127, value >> 7
        out.append(low | (128 if value else 0))
        if not value:
            return bytes(out)


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def constant(name: str, value: Tensor, packed: bool = False) -> bytes:
    """A TensorProto; integers as int64_data when ``packed``, everything else as raw_data."""
    kind = {torch.float32: 1, torch.int8: 3, torch.int64: 7}[value.dtype]
    body = b"".join(field(1, size) for size in value.shape) + field(2, kind) + field(8, name.encode())
    if packed:
        return body + field(7, b"".join(varint(int(v)) for v in value.flatten()))
    return body + field(9, value.contiguous().numpy().tobytes())


def onnx_model(constants: Mapping[str, Tensor]) -> bytes:
    graph = b"".join(field(5, constant(name, value, packed=value.dtype == torch.int64)) for name, value in constants.items())
    return field(1, 7) + field(2, b"a test") + field(7, graph)


def sface_constants(seed: int = 0) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Constants of a random SFace as its model keeps them (int8 in blocks of 64, unfolded norms), and its tensors as plain floats."""
    g = torch.Generator().manual_seed(seed)
    constants: dict[str, Tensor] = {}
    plain: dict[str, Tensor] = {}

    def norm(name: str, width: int) -> None:
        for part, low in (("gamma", 0.8), ("beta", -0.5), ("moving_mean", -0.5), ("moving_var", 0.5)):
            plain[f"{name}_{part}"] = constants[f"{name}_{part}"] = low + torch.rand(width, generator=g)

    def quantised(name: str, shape: tuple[int, ...]) -> None:
        rows, columns = (shape[0], math.prod(shape[1:])) if len(shape) > 1 else (1, shape[0])
        blocks = -(-columns // 64)
        steps = torch.randint(-127, 128, (rows, columns), dtype=torch.int8, generator=g)
        scales = (0.5 + torch.rand(rows, blocks, generator=g)) / 73 / columns**0.5  # outputs as large as inputs
        zeros = torch.randint(-4, 5, (rows, blocks), dtype=torch.int8, generator=g)
        of = torch.arange(columns) // 64
        plain[name] = ((steps.float() - zeros[:, of].float()) * scales[:, of]).view(shape)
        flat = len(shape) == 1
        for part, value in (("quantized", steps), ("scales", scales), ("zero_point", zeros)):
            constants[f"{name}_{part}"] = value[0] if flat else value
        constants[f"{name}_shape"] = torch.tensor(shape)

    for name, layer in zip(SFaceNetwork.original_names(), SFaceNetwork().convs, strict=True):
        assert isinstance(layer, nn.Conv2d)
        quantised(f"{name}_conv2d_weight", tuple(layer.weight.shape))
        norm(f"{name}_batchnorm", layer.out_channels)
        plain[f"{name}_relu_gamma"] = constants[f"{name}_relu_gamma"] = 0.1 + 0.2 * torch.rand(layer.out_channels, 1, 1, generator=g)
    norm("bn1", 1024)
    norm("fc1", 128)
    quantised("pre_fc1_weight", (128, 1024 * 49))
    quantised("pre_fc1_bias", (128,))
    return constants, plain


def mobilefacenet_constants(seed: int = 0) -> tuple[dict[str, Tensor], list[Tensor], list[Tensor], list[Tensor]]:
    """Constants of a random MobileFaceNet as its model keeps them, numbered; its kernels, biases and slopes."""
    g = torch.Generator().manual_seed(seed)
    kernels = [torch.randn(layer.weight.shape, generator=g) * (1.6 / layer.weight[0].numel()) ** 0.5 for layer in MobileFaceNet().layers()]
    biases = [0.1 * torch.randn(len(kernel), generator=g) for kernel in kernels]
    slopes = [0.2 + 0.1 * torch.rand(len(slope), 1, 1, generator=g) for slope in MobileFaceNet().all_slopes()]
    stored = [value for pair in zip(kernels, biases, strict=True) for value in pair] + slopes
    constants = {str(519 + index): value for index, value in enumerate(stored)} | {"703": torch.tensor([1, -1])}
    return constants, kernels, biases, slopes
