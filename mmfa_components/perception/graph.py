"""A network given as a list of steps: runs models converted from other runtimes, batched, on any device, differentiable.

The detector and landmark networks are irregular chains of some hundred layers with channel padding between them; a list of steps
(JSON beside the weights) keeps exact parity with the original and stays readable, where a hand-written module would hide an error.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from mmfa_components.perception.onnx_graph import OnnxRunner

Step = dict[str, Any]


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """ "SAME" padding of the original runtime: (before, after), the odd one after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _pad_same(x: Tensor, kernel: tuple[int, int], stride: int, value: float = 0.0) -> Tensor:
    top, bottom = same_padding(x.shape[2], kernel[0], stride)
    left, right = same_padding(x.shape[3], kernel[1], stride)
    return functional.pad(x, (left, right, top, bottom), value=value) if top + bottom + left + right else x


def _plain(image: Tensor) -> bool:
    """Whether all that is asked for is values, on the CPU: no gradient, no tracing."""
    usual = type(image) is Tensor and image.device.type == "cpu" and image.dtype == torch.float32
    return usual and not image.requires_grad and not torch.compiler.is_compiling()


class GraphNetwork(nn.Module):
    """Runs steps over tensors by name. Images are (N, C, H, W); a step is a dict with ``op``, ``in``, ``out`` and the op's own keys.

    On a CPU, where no gradient is asked for, onnxruntime runs the same steps: values differ from torch's by some 1e-6 of the largest,
    and not with the batch or the number of threads.

    ops: conv (weight, bias, stride, same, groups, act), prelu (weight), relu, sigmoid, add (act), max_pool (kernel, stride, same),
    pad_channels (after), flatten (size: to (N, -1, size) in the original's channel-last order), concat (flattened parts, along dim 1).
    """

    def __init__(self, steps: list[Step], tensors: dict[str, Tensor], inputs: str, outputs: list[str]) -> None:
        super().__init__()
        self.steps, self.inputs, self.outputs = steps, inputs, outputs
        for name, value in tensors.items():
            self.register_buffer(name, value.float())

    def forward(self, image: Tensor) -> list[Tensor]:
        """Run the steps on (N, C, H, W); gives the output tensors in order."""
        if _plain(image) and len(image):
            return self._runner(image)
        values = {self.inputs: image}
        for step in self.steps:
            values[step["out"]] = self._run(step, [values[name] for name in step["in"]])
        return [values[name] for name in self.outputs]

    @cached_property
    def _runner(self) -> OnnxRunner:
        """Made at the first use, in the process that uses it."""
        from mmfa_components.perception.onnx_graph import OnnxRunner  # takes a quarter of a second: who only lists plugins need not wait

        tensors = {name: value.cpu() for name, value in self.named_buffers()}
        return OnnxRunner(self.steps, tensors, self.inputs, self.outputs, torch.get_num_threads())

    def __getstate__(self) -> dict[str, Any]:
        """Without the session, which cannot be copied or sent to another process."""
        return {name: value for name, value in self.__dict__.items() if name != "_runner"}

    def _run(self, step: Step, x: list[Tensor]) -> Tensor:
        op, first = step["op"], x[0]
        if op == "conv":
            weight = self.get_buffer(step["weight"])
            if step["same"]:
                first = _pad_same(first, (weight.shape[2], weight.shape[3]), step["stride"])
            y = functional.conv2d(first, weight, self.get_buffer(step["bias"]), step["stride"], groups=step["groups"])
        elif op == "prelu":
            y = functional.prelu(first, self.get_buffer(step["weight"]))
        elif op == "add":
            y = first + x[1]
        elif op == "max_pool":
            kernel, stride = step["kernel"], step["stride"]
            if step["same"]:
                first = _pad_same(first, (kernel, kernel), stride, float("-inf"))
            y = functional.max_pool2d(first, kernel, stride)
        elif op == "pad_channels":
            y = functional.pad(first, (0, 0, 0, 0, 0, step["after"]))
        elif op == "flatten":
            y = first.permute(0, 2, 3, 1).reshape(first.shape[0], first.shape[1:].numel() // step["size"], step["size"])
        elif op == "concat":
            y = torch.cat(x, 1)
        elif op in ("relu", "sigmoid"):
            y = first
        else:
            raise ValueError(f"unknown step {op!r}")
        if op == "relu" or step.get("act") == "relu":
            y = functional.relu(y)
        return torch.sigmoid(y) if op == "sigmoid" else y
