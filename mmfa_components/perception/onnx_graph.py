"""The steps of a converted network as an ONNX model, run by onnxruntime: the fast path on a CPU.

The model is made in memory from the same steps and tensors as :class:`GraphNetwork`, so there is
no second file of weights that could be out of step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

OPSET, IR_VERSION = 17, 10


class OnnxRunner:
    """Runs steps on the CPU: (N, C, H, W) float32 -> the outputs in order, float32.

    steps, tensors, inputs, outputs: as for :class:`GraphNetwork`.  threads: of onnxruntime, 0 for
    as many as there are cores. The results do not depend on them, nor on what else is in a batch.
    """

    def __init__(
        self,
        steps: Sequence[Mapping[str, Any]],
        tensors: Mapping[str, Tensor],
        inputs: str,
        outputs: Sequence[str],
        threads: int = 0,
    ) -> None:
        model = onnx_model(steps, tensors, inputs, outputs)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        # Threads that wait give their core back: others have work for it.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.input = inputs

    def __call__(self, image: Tensor) -> list[Tensor]:
        """Run the steps."""
        given = {self.input: np.ascontiguousarray(image.detach().numpy())}
        return [torch.from_numpy(made) for made in self.session.run(None, given)]


def onnx_model(
    steps: Sequence[Mapping[str, Any]],
    tensors: Mapping[str, Tensor],
    inputs: str,
    outputs: Sequence[str],
) -> onnx.ModelProto:
    """An ONNX model that computes what :class:`GraphNetwork` does; the batch is free.

    Raises ValueError for an unknown step.
    """
    held = {name: value.float().contiguous().numpy() for name, value in tensors.items()}
    constants: dict[str, np.ndarray[Any, Any]] = {}
    nodes = [node for step in steps for node in _nodes(step, held, constants)]
    image = helper.make_tensor_value_info(
        inputs, TensorProto.FLOAT, ["batch", "channels", "height", "width"]
    )
    made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    initial = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "steps", [image], made, initial)
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)


def _nodes(
    step: Mapping[str, Any],
    held: Mapping[str, np.ndarray[Any, Any]],
    constants: dict[str, np.ndarray[Any, Any]],
) -> Iterator[onnx.NodeProto]:
    """The nodes of one step; weights and numbers they need are added to ``constants``."""
    op, given, out = step["op"], list(step["in"]), step["out"]
    acted = step.get("act") == "relu"
    raw = f"{out}.raw" if acted else out

    def constant(name: str, value: np.ndarray[Any, Any]) -> str:
        constants[name] = value
        return name

    if op == "conv":
        weight = constant(step["weight"], held[step["weight"]])
        bias = constant(step["bias"], held[step["bias"]])
        options: dict[str, Any] = {"strides": [step["stride"]] * 2, "group": step["groups"]}
        if step["same"]:
            options["auto_pad"] = "SAME_UPPER"
        yield helper.make_node("Conv", [given[0], weight, bias], [raw], **options)
    elif op == "prelu":
        slope = constant(step["weight"], held[step["weight"]].reshape(-1, 1, 1))
        yield helper.make_node("PRelu", [given[0], slope], [raw])
    elif op == "add":
        yield helper.make_node("Add", given, [raw])
    elif op == "max_pool":
        options = {"kernel_shape": [step["kernel"]] * 2, "strides": [step["stride"]] * 2}
        if step["same"]:
            options["auto_pad"] = "SAME_UPPER"
        yield helper.make_node("MaxPool", [given[0]], [raw], **options)
    elif op == "pad_channels":
        amounts = np.array([0, 0, 0, 0, 0, step["after"], 0, 0], np.int64)
        yield helper.make_node("Pad", [given[0], constant(f"{out}.pads", amounts)], [raw])
    elif op == "flatten":
        shape = constant(f"{out}.shape", np.array([0, -1, step["size"]], np.int64))
        yield helper.make_node("Transpose", [given[0]], [f"{out}.last"], perm=[0, 2, 3, 1])
        yield helper.make_node("Reshape", [f"{out}.last", shape], [raw])
    elif op == "concat":
        yield helper.make_node("Concat", given, [raw], axis=1)
    elif op in ("relu", "sigmoid"):
        yield helper.make_node("Relu" if op == "relu" else "Sigmoid", [given[0]], [raw])
    else:
        raise ValueError(f"unknown step {op!r}")
    if acted:
        yield helper.make_node("Relu", [raw], [out])
