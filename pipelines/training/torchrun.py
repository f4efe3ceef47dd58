"""Training under torchrun: its processes train together, gradients averaged by DDP.

It needs nothing but torch.
"""

from __future__ import annotations

import os

import torch
from rich.console import Console
from torch import distributed

from mmfa_components.errors import ConfigError
from pipelines.stages.components import resolve_device
from pipelines.training.group import Group
from pipelines.training.loop import LoopResult
from pipelines.training.schema import TrainPipeline
from pipelines.training.session import run_session

VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE")


def started_group() -> Group:
    """The processes torchrun started. Raises ConfigError when this is none of them."""
    missing = [name for name in VARIABLES if not os.environ.get(name, "").isdigit()]
    if missing:
        start = "torchrun --nproc-per-node 2 -m pipelines.run train.toml"
        fix = f"start it so: {start} --set scale.engine=torchrun"
        raise ConfigError(
            f"this process was not started by torchrun (no {', '.join(missing)})",
            where="scale.engine",
            fix=fix,
        )
    return Group(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))


def run_under_torchrun(pipeline: TrainPipeline, console: Console) -> LoopResult:
    """This process's part of the training: one a GPU over NCCL, or CPU processes over gloo.

    The first one writes and speaks.
    Raises ConfigError (see :func:`started_group`) and what ``run_session`` raises.
    """
    group = started_group()
    device = resolve_device(pipeline.run.device)
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    else:
        torch.set_num_threads(max(1, torch.get_num_threads() // group.world))
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        return run_session(pipeline, console, group, device)
    finally:
        distributed.destroy_process_group()
