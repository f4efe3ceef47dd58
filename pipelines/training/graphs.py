"""CUDA graphs: the work of each network is recorded once and replayed.

So the GPU does not wait for some thousand launches a step. The networks' parameters, losses and
everything between the networks stay as they are; only what happens inside one network's forward and
backward pass is replayed. Shapes must not change from step to step. With several processes the
recording comes before DDP wraps the networks, as torch wants it: DDP's hooks on the parameters and
NCCL's first work, made during a recording, may break it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from pipelines.training.buffers import buffers_kept

Inputs = tuple[Tensor, ...]


@contextlib.contextmanager
def inputs_seen(model: nn.Module, parts: Sequence[str]) -> Iterator[dict[str, Inputs]]:
    """Copies of what each of the ``parts`` is called with inside the block.

    They are leaves that want a gradient where the originals do.
    """
    seen: dict[str, Inputs] = {}

    def hook(name: str) -> Callable[[nn.Module, Inputs], None]:
        def keep(_: nn.Module, inputs: Inputs) -> None:
            seen[name] = tuple(x.detach().clone().requires_grad_(x.requires_grad) for x in inputs)

        return keep

    handles = [getattr(model, name).register_forward_pre_hook(hook(name)) for name in parts]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def record_networks(
    model: nn.Module,
    parts: Sequence[str],
    forward: Callable[[], object],
    precision: Callable[[], contextlib.AbstractContextManager[object]],
) -> None:
    """Replace the forward pass of each of the ``parts`` of ``model`` by its recording, in place.

    forward: one forward pass through all of them, with the shapes of training.
    precision: the autocast that training runs in.
    """
    with buffers_kept(model):
        with inputs_seen(model, parts) as seen, precision():
            forward()
        torch.clear_autocast_cache()
        for name, inputs in seen.items():
            part = getattr(model, name)
            if not any(x.requires_grad for x in (*inputs, *part.parameters())):
                continue  # not trained: nothing to record a backward pass of
            with precision():
                # casts of weights belong into the recording: weights change
                torch.set_autocast_cache_enabled(False)
                try:
                    torch.cuda.make_graphed_callables(part, inputs, allow_unused_input=True)
                finally:
                    torch.set_autocast_cache_enabled(True)


def record_function(function: Callable[[Tensor], Tensor], sample: Tensor) -> Callable[[Tensor], Tensor]:
    """``function`` of a tensor like ``sample``, recorded.

    Every result is a copy, since the next replay writes over the last one's.
    """
    with torch.autocast(sample.device.type, enabled=False):
        recorded: Callable[[Tensor], Tensor] = torch.cuda.make_graphed_callables(  # type: ignore[assignment]
            function, (sample.detach().clone().requires_grad_(),)
        )
    return lambda x: recorded(x).clone()
