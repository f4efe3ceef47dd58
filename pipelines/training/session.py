"""One process's part of a training run: data, frozen networks, trainer, log; from the checkpoint when there is one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from mmfa_components.errors import DatasetError
from mmfa_components.networks.presets import preset
from mmfa_components.weights import read_weights
from pipelines.datasets.index import DatasetIndex
from pipelines.runs.progress import Progress
from pipelines.stages.components import resolve_device
from pipelines.training.checkpoint import architecture, load_checkpoint
from pipelines.training.dataset import FaceClips, load_clips
from pipelines.training.group import Group
from pipelines.training.judges import frozen_networks
from pipelines.training.logs import TrainingLog
from pipelines.training.loop import CHECKPOINT, LoopResult, Saved, nothing_more, train
from pipelines.training.schema import TrainPipeline
from pipelines.training.step import Frozen
from pipelines.training.trainer import Trainer


def run_session(
    pipeline: TrainPipeline,
    console: Console | None,
    group: Group = Group(),  # noqa: B008
    device: torch.device | None = None,
    *,
    frozen: Frozen | None = None,
    state: dict[str, Any] | None = None,
    saved: Saved = nothing_more,
) -> LoopResult:
    """Train as the pipeline says; files are written to ``run.folder`` by the first process.

    state: what to go on from instead of the folder's own checkpoint.
    Raises DatasetError, WeightsError, TrainingError or OutputError.
    """
    device = device or resolve_device(pipeline.run.device)
    folder = Path(pipeline.run.folder)
    if group.first:
        folder.mkdir(parents=True, exist_ok=True)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = device.type == "cuda"

    def say(text: str) -> None:
        if console is not None and group.first:
            console.print(text, highlight=False, markup=False, soft_wrap=True)

    clips, held_out = _data(pipeline, device, group, say, console if console is not None and group.first else Console(quiet=True))
    sizes = preset(pipeline.model.preset)
    trainer = Trainer(sizes, pipeline, frozen or frozen_networks(pipeline, device), device, group)
    checkpoint = folder / CHECKPOINT
    if state is None and checkpoint.exists():
        state = load_checkpoint(checkpoint, device)
    if state is not None:
        trainer.restore(state, str(checkpoint))
        say(f"going on from step {trainer.step} ({trainer.samples} pairs)")
    elif pipeline.model.start:
        start = Path(pipeline.model.start).expanduser()
        trainer.start_from(read_weights(start, architecture(sizes)), str(start))
        say(f"starting from {start}")
    log = TrainingLog(folder, trainer.step, pipeline.run.tensorboard, console) if console is not None and group.first else None
    try:
        return train(trainer, clips, held_out, log, saved)
    finally:
        if log is not None:
            log.close()


def _data(
    pipeline: TrainPipeline, device: torch.device, group: Group, say: Callable[[str], None], console: Console
) -> tuple[FaceClips, FaceClips | None]:
    folder, hold = Path(pipeline.data.folder), pipeline.data.hold
    index = DatasetIndex.read(folder)

    def read(split: str) -> FaceClips:
        with Progress(console, 1) as progress:
            progress.start(f"read {split} of {folder}", sum(c.frames for c in index.clips if c.split == split))
            return load_clips(folder, split, hold, device, progress.advance)

    clips = read("train")
    sizes = preset(pipeline.model.preset)
    if index.crop != sizes.image:
        fix = f"prepare it with crop.side = {sizes.image}, or choose another model.preset"
        raise DatasetError(f"its crops have {index.crop} pixels, the networks take {sizes.image}", where=str(folder), fix=fix)
    say(f"{len(clips)} frames in {len(clips.lengths)} clips and portraits to learn from")
    if not group.first:
        return clips, None
    try:
        held_out = read("val")
    except DatasetError:
        say("no held-out people in this data set: no figures will be given")
        return clips, None
    return clips, held_out
