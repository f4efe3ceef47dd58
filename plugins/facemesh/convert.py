"""Convert MediaPipe's face models: ``python -m plugins.facemesh.convert face_landmarker.task [OUT_FOLDER]``.

The .task file is a zip of .tflite models (Apache-2.0). Writes ``face_detector.safetensors``, ``face_landmarks.safetensors`` and
``face_geometry.safetensors`` (canonical face and its weights for the rotation). Needs the package ``tflite`` (``pip install tflite``).
"""

from __future__ import annotations

import argparse
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from mmfa_components.errors import MMFAError, WeightsError
from mmfa_components.perception.graph import Step

ACTIVATIONS = {0: "", 1: "relu"}


class _Model:
    """One .tflite model as steps and tensors."""

    def __init__(self, data: bytes) -> None:
        import tflite

        self.tflite = tflite
        self.model = tflite.Model.GetRootAsModel(data, 0)
        self.graph = self.model.Subgraphs(0)
        self.same_as: dict[int, int] = {}
        self.steps: list[Step] = []
        self.tensors: dict[str, torch.Tensor] = {}
        names = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
        for index in range(self.graph.OperatorsLength()):
            operator = self.graph.Operators(index)
            code = self.model.OperatorCodes(operator.OpcodeIndex())
            self._add(names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())], operator)

    def array(self, index: int) -> np.ndarray[Any, Any]:
        """A constant tensor, through any DEQUANTIZE."""
        tensor = self.graph.Tensors(self.same_as.get(index, index))
        kind = {0: np.float32, 1: np.float16, 2: np.int32}[tensor.Type()]
        data: np.ndarray[Any, Any] = self.model.Buffers(tensor.Buffer()).DataAsNumpy()
        return data.view(kind).reshape(tensor.ShapeAsNumpy())

    def options(self, operator: Any, kind: str) -> Any:
        """The typed options of an operator."""
        found = getattr(self.tflite, kind)()
        found.Init(operator.BuiltinOptions().Bytes, operator.BuiltinOptions().Pos)
        return found

    def keep(self, name: str, value: np.ndarray[Any, Any]) -> str:
        """Store a weight; the originals are half precision, so half loses nothing."""
        self.tensors[name] = torch.from_numpy(np.ascontiguousarray(value.astype(np.float16)))
        return name

    def _add(self, op: str, operator: Any) -> None:
        inputs, out = [int(i) for i in operator.InputsAsNumpy()], int(operator.Outputs(0))
        step: Step = {"in": [f"t{inputs[0]}"], "out": f"t{out}"}
        if op == "DEQUANTIZE":
            self.same_as[out] = inputs[0]
            return
        if op in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            depthwise = op != "CONV_2D"
            given = self.options(operator, "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions")
            weight = self.array(inputs[1])  # (O, h, w, I), or (1, h, w, C) when depthwise
            weight = weight.transpose(3, 0, 1, 2) if depthwise else weight.transpose(0, 3, 1, 2)
            step |= {
                "op": "conv", "stride": int(given.StrideH()), "same": given.Padding() == 0,
                "act": ACTIVATIONS[given.FusedActivationFunction()],
                "groups": len(weight) if depthwise else 1,
                "weight": self.keep(f"w{out}", weight), "bias": self.keep(f"b{out}", self.array(inputs[2])),
            }  # fmt: skip
        elif op == "PRELU":
            step |= {"op": "prelu", "weight": self.keep(f"p{out}", self.array(inputs[1]).reshape(-1))}
        elif op == "ADD":
            act = ACTIVATIONS[self.options(operator, "AddOptions").FusedActivationFunction()]
            step |= {"op": "add", "in": [f"t{i}" for i in inputs], "act": act}
        elif op == "MAX_POOL_2D":
            given = self.options(operator, "Pool2DOptions")
            step |= {"op": "max_pool", "kernel": int(given.FilterHeight()), "stride": int(given.StrideH()), "same": given.Padding() == 0}
        elif op == "PAD":
            pads = self.array(inputs[1])  # (4, 2), only channels are padded, only after
            if pads[:3].any() or pads[3, 0]:
                raise WeightsError("pads more than channels", where="tflite model", fix="use the face_landmarker.task named in NOTICE.md")
            step |= {"op": "pad_channels", "after": int(pads[3, 1])}
        elif op == "RESHAPE":
            step |= {"op": "flatten", "size": int(self.graph.Tensors(out).ShapeAsNumpy()[-1])}
        elif op == "CONCATENATION":
            step |= {"op": "concat", "in": [f"t{i}" for i in inputs]}
        elif op in ("RELU", "LOGISTIC"):
            step |= {"op": "relu" if op == "RELU" else "sigmoid"}
        else:
            fix = "use the model named in NOTICE.md"
            raise WeightsError(f"has an operator {op} this converter does not know", where="tflite model", fix=fix)
        self.steps.append(step)

    def save(self, path: Path, architecture: str, outputs: list[str]) -> None:
        """Write a weights file; ``outputs`` are names of the original's outputs in the order wanted."""
        by_name = {self.graph.Tensors(int(i)).Name().decode(): f"t{i}" for i in self.graph.OutputsAsNumpy()}
        program = {"input": f"t{self.graph.Inputs(0)}", "outputs": [by_name[n] for n in outputs], "steps": self.steps}
        save_file(self.tensors, path, {"architecture": architecture, "program": json.dumps(program)})


def _fields(data: bytes) -> list[tuple[int, Any]]:
    """Fields of a protobuf message: (number, value); lengths give bytes."""
    found: list[tuple[int, Any]] = []
    position = 0

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while position < len(data):
        key = varint()
        if key & 7 == 0:
            found.append((key >> 3, varint()))
        elif key & 7 == 5:
            found.append((key >> 3, struct.unpack_from("<f", data, position)[0]))
            position += 4
        elif key & 7 == 2:
            length = varint()
            found.append((key >> 3, data[position : position + length]))
            position += length
        else:
            raise WeightsError("is no face geometry", where="geometry_pipeline_metadata_landmarks.binarypb")
    return found


def read_geometry(data: bytes) -> dict[str, torch.Tensor]:
    """Canonical face (468, 3) in centimetres, axes x right, y down, z towards the viewer, and Procrustes weights (468,).

    From MediaPipe's GeometryPipelineMetadata: field 1 = canonical mesh (field 3 = vertex buffer of x, y, z, u, v), field 2 =
    landmarks of the Procrustes basis (1 = index, 2 = weight).
    """
    weights = torch.zeros(468)
    vertices = torch.zeros(0)
    for number, value in _fields(data):
        if number == 1:
            vertices = torch.tensor([v for n, v in _fields(value) if n == 3]).view(-1, 5)[:, :3]
        elif number == 2:
            entry = dict(_fields(value))
            weights[entry.get(1, 0)] = entry[2]
    return {"canonical": (vertices * torch.tensor([1.0, -1.0, 1.0])).contiguous(), "weights": weights}


def convert(task: Path, folder: Path) -> None:
    """Write the three weights files. Raises WeightsError when ``task`` is not the expected file."""
    try:
        with zipfile.ZipFile(task) as archive:
            detector, landmarks = (archive.read(f"{n}.tflite") for n in ("face_detector", "face_landmarks_detector"))
            geometry = archive.read("geometry_pipeline_metadata_landmarks.binarypb")
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        fix = "see NOTICE.md for where it comes from"
        raise WeightsError(f"is not a face_landmarker.task ({error})", where=str(task), fix=fix) from error
    folder.mkdir(parents=True, exist_ok=True)
    _Model(detector).save(folder / "face_detector.safetensors", "facemesh-detector/1", ["regressors", "classificators"])
    _Model(landmarks).save(folder / "face_landmarks.safetensors", "facemesh-landmarks/1", ["Identity", "Identity_1"])
    save_file(read_geometry(geometry), folder / "face_geometry.safetensors", {"architecture": "facemesh-geometry/1"})


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", type=Path)
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parent)
    arguments = parser.parse_args()
    try:
        convert(arguments.task, arguments.folder)
    except MMFAError as error:
        parser.exit(2, f"{error}\n")
    except ImportError:
        parser.exit(2, "the package tflite is needed to read the models\n  -> pip install tflite\n")
    print(f"wrote face_detector, face_landmarks and face_geometry to {arguments.folder}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
