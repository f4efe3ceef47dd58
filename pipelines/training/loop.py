"""The training loop: steps, log, pictures, checkpoints, until the steps or the minutes are used up."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import attrs
import torch

from pipelines.training.checkpoint import save_checkpoint, save_model, save_weights
from pipelines.training.dataset import FaceClips
from pipelines.training.logs import TrainingLog
from pipelines.training.schedule import learning_rate
from pipelines.training.schema import TrainPipeline
from pipelines.training.trainer import Trainer
from pipelines.training.validate import picture_of, reconstruction_figures
from plugins.mmfa.model import MMFAModel
from plugins.mmfa.presets import preset

CHECKPOINT = "checkpoint.pt"
STEPS_BETWEEN_LOOKS = 10  # at the clock, when several processes have to agree

Saved = Callable[[Path, int], None]


def nothing_more(folder: Path, step: int) -> None:
    """The ``saved`` of runs that keep their checkpoints in the folder alone."""



@attrs.frozen
class LoopResult:
    """How a call went. figures: of the held-out people at its end.  interrupted: by Ctrl-C, after a checkpoint."""

    steps: int
    samples: int
    images_per_second: float
    figures: dict[str, float]
    interrupted: bool


def train(
    trainer: Trainer, clips: FaceClips, held_out: FaceClips | None, log: TrainingLog | None, saved: Saved = nothing_more
) -> LoopResult:
    """Train until ``run.steps`` or ``run.minutes`` are used up; a later call goes on. Only the first process has a ``log`` and writes.

    saved: called on every process after each checkpoint. Raises TrainingError when no step succeeds any more.
    """
    pipeline, run = trainer.pipeline, trainer.pipeline.run
    folder, start, first = Path(run.folder), time.monotonic(), trainer.step
    limit = run.minutes * 60 if run.minutes else None
    interrupted = False
    last_saved = trainer.step
    try:
        while trainer.step < run.steps and not _time_is_up(trainer, start, limit):
            before = trainer.step
            losses = trainer.train_step(clips)
            step = trainer.step
            logged = run.log and (step % run.log == 0 or step == run.steps or "bad" in losses)
            if logged:
                names = sorted(losses)
                means = trainer.group.mean(torch.stack([losses[name].float() for name in names]))
                if log is not None:
                    values = dict(zip(names, means.tolist(), strict=True))
                    values["total"] = weighted(values, pipeline)
                    log.scalars(step, trainer.samples, learning_rate(before, pipeline.optimiser.rate, pipeline.schedule), values)
                    log.progress(step, run.steps, run.batch, None if limit is None else limit - (time.monotonic() - start), values)
            if step == before:
                continue
            if log is not None and held_out is not None and run.picture and step % run.picture == 0:
                log.picture(step, picture_of(trainer.averaged, held_out, trainer.device))
            if log is not None and held_out is not None and run.validate and step % run.validate == 0:
                log.figures(step, reconstruction_figures(trainer.averaged, held_out, trainer.device, trainer.frozen.landmarks))
            if run.save and step % run.save == 0:
                save_all(trainer, folder, saved, clips)
                last_saved = step
    except KeyboardInterrupt:
        interrupted = True
    seconds = max(time.monotonic() - start, 1e-6)
    if trainer.step != last_saved or not (folder / CHECKPOINT).exists():
        save_all(trainer, folder, saved, clips)
    figures: dict[str, float] = {}
    if log is not None and held_out is not None and not interrupted:
        log.picture(trainer.step, picture_of(trainer.averaged, held_out, trainer.device))
        figures = reconstruction_figures(trainer.averaged, held_out, trainer.device, trainer.frozen.landmarks)
        log.figures(trainer.step, figures)
    return LoopResult(trainer.step, trainer.samples, (trainer.step - first) * run.batch / seconds, figures, interrupted)


def weighted(losses: dict[str, float], pipeline: TrainPipeline) -> float:
    """The weighted sum of eq. 14 of logged losses (the landmark loss at its full weight)."""
    return sum(value * getattr(pipeline.losses, name, 0.0) for name, value in losses.items())


def save_all(trainer: Trainer, folder: Path, saved: Saved, clips: FaceClips) -> None:
    """Write the checkpoint, and the averaged weights as a file to ship."""
    if trainer.group.first:
        if any(p.requires_grad for p in trainer.model.expression_encoder.parameters()):  # else it fits already
            fit_pose_part(trainer.averaged, clips, trainer.device)
        sizes = trainer.model.sizes
        facts = {"samples": str(trainer.samples), "steps": str(trainer.step)}
        name = preset(sizes.name).weights["animator"].name
        save_model(folder / f"{name}.safetensors", trainer.averaged, facts)
        judge = f"mmfa-discriminator/{trainer.pipeline.model.discriminator}/{sizes.name}/1"
        save_weights(folder / "discriminator.safetensors", trainer.discriminator, judge, facts)
        save_checkpoint(folder / CHECKPOINT, trainer.state())
    saved(folder, trainer.step)


@torch.no_grad()
def fit_pose_part(model: MMFAModel, clips: FaceClips, device: torch.device) -> None:
    """Fit what the head's pose puts into the expressions of all clips; left at zero where e is read from images."""
    longer = int((clips.lengths > 1).sum())
    if model.sizes.expression_input != "shape" or not longer:
        return
    feature = torch.cat([model.expression_encoder(part.to(device)).cpu() for part in clips.shape.split(4096)])
    model.expression_pose.cpu().fit(feature, clips.rotation.cpu(), clips.lengths)
    model.expression_pose.to(device)


def _time_is_up(trainer: Trainer, start: float, limit: float | None) -> bool:
    if limit is None or (trainer.group.world > 1 and trainer.step % STEPS_BETWEEN_LOOKS):
        return False
    return trainer.group.agree(time.monotonic() - start >= limit, trainer.device)
