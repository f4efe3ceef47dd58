"""The networks as ONNX files: what encodes a portrait, reads motion, renders, and what finds and follows faces. Batch sizes are free.

Inputs and outputs are the tensors of the records that components exchange, by their names; docs/onnx.md says how they go together.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from mmfa_components import records as r
from mmfa_components.errors import OutputError, PackageError, WeightsError, reason_of
from pipelines.config.places import DEMO_FOLDER
from pipelines.config.schema import Face
from pipelines.stages.components import Components
from pipelines.stages.crop import crop_frames, crop_landmarks
from pipelines.stages.encode import StillUnit, encode_still
from pipelines.stages.worker import Worker

OPSET = 20
NEWTON_STEPS = 8
TOLERANCE = 2e-3
"""Largest difference from torch of any output, in units of the largest value of that output."""
NETWORKS = (("face_detector", "detector", 128), ("face_landmarks", "landmarks", 256))
"""Perception: the file, the component that has a ``network``, the side of its input."""


@attrs.frozen
class Exported:
    """One file. inputs, outputs: names with shapes, "batch" for the free one.  difference: see TOLERANCE; None when it was not checked."""

    path: Path
    inputs: dict[str, list[int | str]]
    outputs: dict[str, list[int | str]]
    difference: float | None = None


@attrs.frozen
class _Graph:
    """A module with an example: inputs and outputs by name, and which inputs have a free batch."""

    name: str
    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: Sequence[str]
    free: frozenset[str]


class _Call(nn.Module):
    """A function of tensors as a module."""

    def __init__(self, call: Callable[..., Any]) -> None:
        super().__init__()
        self.call = call

    def forward(self, *tensors: Tensor) -> Any:
        return self.call(*tensors)


def export_onnx(components: Components, folder: Path, example: Tensor, points: Tensor, check: bool = True) -> list[Exported]:
    """Write all files into ``folder`` and an index ``models.json``; check each against torch by onnxruntime where that is installed.

    components: built on the CPU in float32.  example: crops (2, 3, S, S) in [0, 1] of one face.  points: (2, P, 3) its landmarks in
    pixels of them. Raises PackageError when onnx or onnxscript is missing, WeightsError when a file computes something else, OutputError.
    """
    for package in ("onnx", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise PackageError(f"the package {package} is not installed", where="export-onnx", fix="pip install 'mmfa[onnx]'")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot be made ({reason_of(error)})", where=str(folder), fix="name another folder") from error
    for module in _modules(components.animator):
        _plain_order(module)
    done = [_export(graph, folder, check) for graph in _graphs(components, example, points)]
    index = {one.path.name: {"inputs": one.inputs, "outputs": one.outputs, "difference": one.difference} for one in done}
    (folder / "models.json").write_text(json.dumps({"facts": _facts(components), "models": index}, indent=2) + "\n", encoding="utf-8")
    return done


def portrait_to_trace(components: Components, face: Face) -> tuple[Tensor, Tensor]:
    """Crops (2, 3, S, S) and landmarks (2, P, 3) in pixels of them, of a face of the demo media: what the networks are exported with."""
    worker = Worker(components, 1)
    seen = encode_still(worker, StillUnit(DEMO_FOLDER / "portraits" / "hiker.jpg", face))
    device, side = torch.device("cpu"), components.facts.crop_size
    crop = crop_frames(seen.rgb[None], seen.square, side, device).rgb
    points = crop_landmarks(seen.track, seen.square, side, device).points
    return torch.cat([crop, torch.roll(crop, 3, 3)]), torch.cat([points, points + torch.tensor([3.0, 0.0, 0.0])])


def _facts(components: Components) -> dict[str, Any]:
    facts = components.facts
    return {"animator": facts.animator, "landmarks": facts.landmarks, "detector": facts.detector, "crop_size": facts.crop_size}


def _modules(owner: Any, depth: int = 4) -> Iterator[nn.Module]:
    """The networks that an object holds, in its attributes, lists and tables."""
    if isinstance(owner, nn.Module):
        yield owner
    elif depth:
        held = owner.values() if isinstance(owner, Mapping) else owner if isinstance(owner, (list, tuple)) else vars(owner).values()
        for one in held:
            if isinstance(one, (nn.Module, Mapping, list, tuple)) or (hasattr(one, "__dict__") and not isinstance(one, (type, Tensor))):
                yield from _modules(one, depth - 1)


def _plain_order(module: nn.Module) -> None:
    """Put a network's weights into the usual order in memory; that of channels last makes the exporter fail at views."""
    for value in (*module.parameters(), *module.buffers()):
        value.data = value.data.contiguous()


def _graphs(components: Components, crops: Tensor, points: Tensor) -> list[_Graph]:
    animator = components.animator

    def seen(image: Tensor, places: Tensor) -> tuple[r.Frames, r.Landmarks]:
        return r.Frames(image), r.Landmarks(places, torch.ones_like(places[:, 0, 0]))

    with torch.no_grad():
        identity, motion = animator.encode(*seen(crops[:1], points[:1])), animator.decompose(*seen(crops, points))
    whose, how = list(identity.tensors()), list(motion.tensors())
    one = {f"identity_{name}": value.clone(memory_format=torch.contiguous_format) for name, value in identity.tensors().items()}
    own = {f"source_{name}": value[:1].clone() for name, value in motion.tensors().items()}
    other = {f"driving_{name}": value for name, value in motion.tensors().items()}

    def render(*tensors: Tensor) -> Tensor:
        given, rest = tensors[: len(whose)], tensors[len(whose) :]
        source, driving = rest[: len(how)], rest[len(how) :]
        made = [type(motion)(**dict(zip(how, values, strict=True))) for values in (source, driving)]
        return animator.render(type(identity)(**dict(zip(whose, given, strict=True))), *made).rgb

    def tensors_of(call: Callable[..., r.Record]) -> Callable[..., tuple[Tensor, ...]]:
        return lambda image, places: tuple(call(*seen(image, places)).tensors().values())

    both = {"image": crops, "points": points}
    free = frozenset(both)
    graphs = [
        _Graph("encode", _Call(tensors_of(animator.encode)), both, [f"identity_{n}" for n in whose], free),
        _Graph("decompose", _Call(tensors_of(animator.decompose)), both, how, free),
        _Graph("render", _Call(render), {**one, **own, **other}, ["image"], frozenset(other)),
    ]
    for name, part, side in NETWORKS:
        network = getattr(getattr(components, part), "network", None)
        if isinstance(network, nn.Module):
            picture = nn.functional.interpolate(crops, (side, side), mode="bilinear", antialias=True)
            with torch.no_grad():
                count = len(network(picture))
            graphs.append(_Graph(name, network, {"image": picture}, [f"output_{i}" for i in range(count)], frozenset(("image",))))
    return graphs


def _export(graph: _Graph, folder: Path, check: bool) -> Exported:
    path = folder / f"{graph.name}.onnx"
    batch = torch.export.Dim("batch", min=1, max=4096)
    shapes: Any = tuple({0: batch} if name in graph.free else None for name in graph.inputs)
    shapes = (shapes,) if isinstance(graph.module, _Call) else shapes
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program: Any = torch.onnx.export(
            graph.module.eval(), tuple(graph.inputs.values()), dynamo=True, dynamic_shapes=shapes, input_names=list(graph.inputs),
            output_names=list(graph.outputs), opset_version=OPSET, custom_translation_table=translations(), verbose=False,
        )  # fmt: skip
        program.save(str(path))
        expected = graph.module(*graph.inputs.values())
    results = [expected] if isinstance(expected, Tensor) else list(expected)
    outputs = {name: _shape(value, True) for name, value in zip(graph.outputs, results, strict=True)}
    inputs = {name: _shape(value, name in graph.free) for name, value in graph.inputs.items()}
    runs = check and importlib.util.find_spec("onnxruntime") is not None
    return Exported(path, inputs, outputs, _compare(path, graph, results) if runs else None)


def _shape(value: Tensor, free: bool) -> list[int | str]:
    return ["batch" if free else int(value.shape[0]), *map(int, value.shape[1:])]


def _compare(path: Path, graph: _Graph, expected: Sequence[Tensor]) -> float:
    """Largest relative difference of the file's outputs. Raises WeightsError beyond TOLERANCE."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    taken = {one.name for one in session.get_inputs()}
    outputs = session.run(None, {name: value.numpy() for name, value in graph.inputs.items() if name in taken})
    worst = 0.0
    for value, wanted in zip(outputs, expected, strict=True):
        scale = float(wanted.abs().max().clamp_min(1e-6))
        worst = max(worst, float((torch.from_numpy(value) - wanted).abs().max()) / scale)
    if worst > TOLERANCE:
        raise WeightsError(f"computes something else than torch (by {worst:.1e})", where=str(path), fix="try another version of torch or onnx")
    return worst


# ---- what ONNX has no operators for ------------------------------------------------------------------------------------
def translations() -> dict[Any, Callable[..., Any]]:
    """Operators of torch that ONNX lacks, in operators that it has."""
    aten = torch.ops.aten
    return {aten._linalg_svd.default: _polar_factors, aten._cdist_forward.default: _distances}


def _operators() -> Any:
    """ONNX's operators, as onnxscript has them."""
    return getattr(importlib.import_module("onnxscript"), f"opset{OPSET}")


def _distances(x1: Any, x2: Any, p: float, compute_mode: Any = None) -> Any:
    """Euclidean distances (..., P, R) of points (..., P, D) and (..., R, D)."""
    op = _operators()
    difference = op.Sub(op.Unsqueeze(x1, op.Constant(value_ints=[-2])), op.Unsqueeze(x2, op.Constant(value_ints=[-3])))
    return op.ReduceL2(difference, op.Constant(value_ints=[-1]), keepdims=0)


def _polar_factors(A: Any, full_matrices: bool = False, compute_uv: bool = True, driver: Any = None) -> Any:
    """Stands for an SVD whose only use is ``U V^T``, the rotation nearest to 3x3 matrices: gives it as U, with ones and the unit matrix.

    Newton's iteration for the polar factor, with scaling: X <- (g X + X^-T / g) / 2; some 8 steps reach float precision.
    """
    op = _operators()
    p, q = op.Constant(value_ints=[1, 2, 0]), op.Constant(value_ints=[2, 0, 1])
    last = op.Constant(value_ints=[-2, -1])
    half = op.Constant(value_float=0.5)
    x = op.Div(A, op.ReduceL2(A, last, keepdims=1))
    for _ in range(NEWTON_STEPS):
        down, up = op.Gather(x, p, axis=-2), op.Gather(x, q, axis=-2)
        first = op.Mul(op.Gather(down, p, axis=-1), op.Gather(up, q, axis=-1))
        second = op.Mul(op.Gather(down, q, axis=-1), op.Gather(up, p, axis=-1))
        cofactors = op.Sub(first, second)
        inverse = op.Div(cofactors, op.Unsqueeze(op.Unsqueeze(op.Det(x), op.Constant(value_ints=[-1])), op.Constant(value_ints=[-1])))
        g = op.Sqrt(op.Sqrt(op.Div(op.ReduceSumSquare(inverse, last, keepdims=1), op.ReduceSumSquare(x, last, keepdims=1))))
        x = op.Mul(half, op.Add(op.Mul(g, x), op.Div(inverse, g)))
    ones = op.ReduceSumSquare(x, op.Constant(value_ints=[-1]), keepdims=0)
    unit = op.MatMul(op.Transpose(x, perm=[0, 2, 1]), x)
    return x, ones, unit
