"""The training loop: steps, log, pictures, checkpoints, until steps or minutes are used up."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import torch

from mmfa_components.training.recipe import Material
from pipelines.training.checkpoint import save_checkpoint, save_weights
from pipelines.training.logs import TrainingLog
from pipelines.training.schedule import learning_rate
from pipelines.training.trainer import Trainer

CHECKPOINT = "checkpoint.pt"
STEPS_BETWEEN_LOOKS = 10  # at the clock, when several processes have to agree

Saved = Callable[[Path, int], None]


def nothing_more(folder: Path, step: int) -> None:
    """The ``saved`` of runs that keep their checkpoints in the folder alone."""


@attrs.frozen
class LoopResult:
    """How a call went.

    figures: of the held-out people at its end.  interrupted: by Ctrl-C, after a checkpoint.
    """

    steps: int
    samples: int
    images_per_second: float
    figures: dict[str, float]
    interrupted: bool


def train(
    trainer: Trainer,
    material: Material,
    held_out: Any,
    log: TrainingLog | None,
    saved: Saved = nothing_more,
) -> LoopResult:
    """Train until ``run.steps`` or ``run.minutes`` are used up; a later call goes on.

    held_out: what the recipe's figures and pictures are made of, None for none.
    log: only the first process has one, and writes.
    saved: called on every process after each checkpoint.
    Raises TrainingError when no step succeeds any more.
    """
    pipeline, run = trainer.pipeline, trainer.pipeline.run
    folder, start, first = Path(run.folder), time.monotonic(), trainer.step
    limit = run.minutes * 60 if run.minutes else None
    told = log if held_out is not None else None
    interrupted = False
    last_saved = trainer.step
    try:
        while trainer.step < run.steps and not _time_is_up(trainer, start, limit):
            before = trainer.step
            losses = trainer.train_step(material)
            step = trainer.step
            logged = run.log and (step % run.log == 0 or step == run.steps or "bad" in losses)
            if logged:
                names = sorted(losses)
                means = trainer.group.mean(torch.stack([losses[name].float() for name in names]))
                if log is not None:
                    values = dict(zip(names, means.tolist(), strict=True))
                    values["total"] = weighted(values, trainer.recipe.weights)
                    rate = learning_rate(before, pipeline.optimiser.rate, pipeline.schedule)
                    log.scalars(step, trainer.samples, rate, values)
                    left = None if limit is None else limit - (time.monotonic() - start)
                    log.progress(step, run.steps, run.batch, left, values)
            if step == before:
                continue
            if told is not None and run.picture and step % run.picture == 0:
                show(trainer, held_out, told)
            if told is not None and run.validate and step % run.validate == 0:
                told.figures(step, figures_of(trainer, held_out))
            if run.save and step % run.save == 0:
                save_all(trainer, folder, saved, material)
                last_saved = step
    except KeyboardInterrupt:
        interrupted = True
    seconds = max(time.monotonic() - start, 1e-6)
    if trainer.step != last_saved or not (folder / CHECKPOINT).exists():
        save_all(trainer, folder, saved, material)
    figures: dict[str, float] = {}
    if told is not None and not interrupted:
        show(trainer, held_out, told)
        figures = figures_of(trainer, held_out)
        told.figures(trainer.step, figures)
    speed = (trainer.step - first) * run.batch / seconds
    return LoopResult(trainer.step, trainer.samples, speed, figures, interrupted)


def weighted(losses: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """The weighted sum of logged losses, each at its full weight."""
    return sum(value * weights.get(name, 0.0) for name, value in losses.items())


def figures_of(trainer: Trainer, held_out: Any) -> dict[str, float]:
    """Figures of the averaged networks on held-out people."""
    return trainer.recipe.figures(trainer.averaged, held_out, trainer.judges, trainer.device)


def show(trainer: Trainer, held_out: Any, log: TrainingLog) -> None:
    """Log a picture of the averaged networks, if the recipe makes one."""
    picture = trainer.recipe.picture(trainer.averaged, held_out, trainer.device)
    if picture is not None:
        log.picture(trainer.step, picture)


def save_all(trainer: Trainer, folder: Path, saved: Saved, material: Material) -> None:
    """Write the checkpoint, and the weights that the recipe ships of the averaged networks."""
    if trainer.group.first:
        recipe = trainer.recipe
        recipe.finish(trainer.averaged, trainer.model, material)
        facts = {"samples": str(trainer.samples), "steps": str(trainer.step)}
        for file in recipe.shipped(trainer.averaged, trainer.critic):
            notes = {**file.notes, **facts}
            save_weights(folder / file.file, file.module, file.architecture, notes)
        save_checkpoint(folder / CHECKPOINT, trainer.state())
    saved(folder, trainer.step)


def _time_is_up(trainer: Trainer, start: float, limit: float | None) -> bool:
    if limit is None or (trainer.group.world > 1 and trainer.step % STEPS_BETWEEN_LOOKS):
        return False
    return trainer.group.agree(time.monotonic() - start >= limit, trainer.device)
