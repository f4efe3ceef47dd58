"""Training on Ray Train: any number of workers, gradients averaged by DDP.

Each worker has a GPU or is a CPU process.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import attrs
import torch
from rich.console import Console

from pipelines.engines.ray_train import Place, run_workers
from pipelines.stages.components import resolve_device
from pipelines.training.checkpoint import load_checkpoint
from pipelines.training.group import Group
from pipelines.training.loop import CHECKPOINT, LoopResult
from pipelines.training.schema import TrainPipeline
from pipelines.training.session import run_session

NAME = "mmfa_train"


def run_on_ray(pipeline: TrainPipeline, console: Console) -> LoopResult:
    """Train on ``scale.workers`` workers.

    Raises PluginError when Ray is missing, TrainingError when the workers fail.
    """
    folder = Path(pipeline.run.folder).resolve()
    storage = Path(pipeline.scale.storage or folder / "ray")
    placed = attrs.evolve(
        pipeline,
        run=attrs.evolve(pipeline.run, folder=str(folder)),
        data=attrs.evolve(pipeline.data, folder=str(Path(pipeline.data.folder).resolve())),
    )
    gpu = resolve_device(pipeline.run.device).type == "cuda"
    console.print(f"{pipeline.scale.workers} Ray workers, log in {folder}", highlight=False, markup=False)
    returned = run_workers(
        train_worker,
        placed,
        workers=pipeline.scale.workers,
        gpu=gpu,
        name=NAME,
        storage=storage,
        address=pipeline.scale.address,
    )
    return LoopResult(**returned)


def train_worker(pipeline: TrainPipeline, place: Place) -> dict[str, Any]:
    """What every worker does.

    The newest checkpoint counts: the run folder's, or Ray's where that is on another machine.
    """
    torch.set_num_threads(max(1, torch.get_num_threads() // place.world))
    own = Path(pipeline.run.folder) / CHECKPOINT
    state = None
    if not own.exists() and place.resumed is not None and (place.resumed / CHECKPOINT).exists():
        state = load_checkpoint(place.resumed / CHECKPOINT, place.device)

    def saved(folder: Path, step: int) -> None:
        place.keep(folder, (CHECKPOINT,), step)

    console = Console(file=sys.stdout, width=160)
    result = run_session(pipeline, console, Group(place.rank, place.world), place.device, state=state, saved=saved)
    return attrs.asdict(result)
