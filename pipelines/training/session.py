"""One process's part of a training run: data, judges, trainer, log.

It goes on from the checkpoint when there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from mmfa_components.errors import DatasetError, OutputError, reason_of
from mmfa_components.registry import Registry, load_registry
from mmfa_components.training.clips import FaceClips
from mmfa_components.training.recipe import TrainingRecipe
from mmfa_components.weights import read_weights
from pipelines.datasets.index import DatasetIndex
from pipelines.runs.progress import Progress
from pipelines.stages.components import resolve_device
from pipelines.training.checkpoint import load_checkpoint
from pipelines.training.dataset import load_clips
from pipelines.training.group import Group
from pipelines.training.logs import TrainingLog
from pipelines.training.loop import CHECKPOINT, LoopResult, Saved, nothing_more, train
from pipelines.training.pairs import PairSource
from pipelines.training.schema import TrainPipeline
from pipelines.training.systems import recipe_of
from pipelines.training.trainer import ALONE, Trainer

NO_JUDGES = object()
Say = Callable[[str], None]


def run_session(
    pipeline: TrainPipeline,
    console: Console | None,
    group: Group = ALONE,
    device: torch.device | None = None,
    *,
    registry: Registry | None = None,
    judges: Any = NO_JUDGES,
    state: dict[str, Any] | None = None,
    saved: Saved = nothing_more,
) -> LoopResult:
    """Train as the pipeline says; files are written to ``run.folder`` by the first process.

    judges: frozen networks instead of those that the recipe loads.
    state: what to go on from instead of the folder's own checkpoint.
    Raises DatasetError, WeightsError, TrainingError or OutputError.
    """
    device = device or resolve_device(pipeline.run.device)
    registry = registry or load_registry()
    own = console if console is not None and group.first else None
    if group.first:
        make_folder(Path(pipeline.run.folder))
    as_training_runs(device)

    def say(text: str) -> None:
        if own is not None:
            own.print(text, highlight=False, markup=False, soft_wrap=True)

    recipe = recipe_of(pipeline, registry)
    clips, held_out = _data(pipeline, recipe, device, group, say, own or Console(quiet=True))
    if judges is NO_JUDGES:
        overrides = {name: Path(path).expanduser() for name, path in pipeline.weights.items()}
        context = registry.context(device, torch.float32, overrides)
        judges = recipe.judges(context, pipeline.run.channels_last)
    trainer = Trainer(recipe, pipeline, judges, device, group)
    material = PairSource(clips, recipe.labels, pipeline.data)
    begin(trainer, material, state, say)
    log = training_log(trainer, own) if own is not None else None
    try:
        return train(trainer, material, held_out, log, saved)
    finally:
        if log is not None:
            log.close()


def as_training_runs(device: torch.device) -> None:
    """Set the switches of torch that training runs with."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = device.type == "cuda"


def make_folder(folder: Path) -> None:
    """Make the folder of a run. Raises OutputError when that is impossible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"the folder of the run cannot be made ({reason_of(error)})"
        raise OutputError(what, where=str(folder), fix="choose another run.folder") from error


def begin(trainer: Trainer, material: Any, state: dict[str, Any] | None, say: Say) -> None:
    """Go on from a state or the folder's checkpoint, or begin anew. Raises as ``run_session``."""
    pipeline = trainer.pipeline
    checkpoint = Path(pipeline.run.folder) / CHECKPOINT
    if state is None and checkpoint.exists():
        state = load_checkpoint(checkpoint, trainer.device)
    if state is not None:
        trainer.restore(state, str(checkpoint))
        say(f"going on from step {trainer.step} ({trainer.samples} {trainer.recipe.unit})")
        return
    trainer.prepare(material)
    if pipeline.model.start:
        start = Path(pipeline.model.start).expanduser()
        weights = read_weights(start, trainer.recipe.weights_file.architecture)
        trainer.start_from(weights, str(start))
        say(f"starting from {start}")


def training_log(trainer: Trainer, console: Console) -> TrainingLog:
    """The log of a trainer's run folder. Raises OutputError when it cannot be written."""
    recipe, run = trainer.recipe, trainer.pipeline.run
    names = (*recipe.weights, *recipe.critic_losses)
    folder = Path(run.folder)
    return TrainingLog(folder, trainer.step, run.tensorboard, console, names, recipe.unit)


def _data(
    pipeline: TrainPipeline,
    recipe: TrainingRecipe,
    device: torch.device,
    group: Group,
    say: Say,
    console: Console,
) -> tuple[FaceClips, FaceClips | None]:
    folder, hold = Path(pipeline.data.folder), pipeline.data.hold
    index = DatasetIndex.read(folder)

    def read(split: str) -> FaceClips:
        with Progress(console, 1) as progress:
            frames = sum(c.frames for c in index.clips if c.split == split)
            progress.start(f"read {split} of {folder}", frames)
            return load_clips(folder, split, hold, device, recipe.labels, progress.advance)

    clips = read("train")
    if index.crop != recipe.side:
        what = f"its crops have {index.crop} pixels, the networks take {recipe.side}"
        fix = f"prepare it with crop.side = {recipe.side}, or choose another model.preset"
        raise DatasetError(what, where=str(folder), fix=fix)
    say(f"{len(clips)} frames in {len(clips.lengths)} clips and portraits to learn from")
    if not group.first:
        return clips, None
    try:
        held_out = read("val")
    except DatasetError:
        say("no held-out people in this data set: no figures will be given")
        return clips, None
    return clips, held_out
