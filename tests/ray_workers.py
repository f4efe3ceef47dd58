"""Worker functions for tests of Ray Train; in a module of its own, so that the worker processes can import them."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import attrs
import tiny_training as tiny
import torch
from rich.console import Console

from pipelines.engines.ray_train import Place
from pipelines.training.group import Group
from pipelines.training.session import run_session
from pipelines.training.trainer import Trainer


def work(config: dict[str, Any], place: Place) -> dict[str, Any]:
    """What a worker does; it dies once in step ``die``, before the marker file is there."""
    tiny.use_tiny_preset()
    torch.set_num_threads(1)
    step, marker = Trainer.train_step, Path(config["marker"])

    def watched(self: Any, material: Any) -> Any:
        if self.step == config["die"] and place.rank == 1 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, material)

    Trainer.train_step = watched  # type: ignore[method-assign]

    def saved(folder: Path, number: int) -> None:
        place.keep(folder, ("checkpoint.pt",), number)

    result = run_session(config["pipeline"], Console(), Group(place.rank, place.world), place.device, judges=tiny.judges(), saved=saved)
    return attrs.asdict(result)


def fail(config: object, place: Place) -> None:
    """A worker function that fails."""
    raise ValueError("this cannot work")
