"""The training loop: optimisers, averaged weights, schedule, checkpoints, log. Continues where an earlier call stopped."""

from __future__ import annotations

import copy
import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmfa_components.losses import adversarial
from mmfa_components.networks.blocks import channels_last
from mmfa_components.networks.discriminator import Discriminator
from mmfa_components.networks.model import MMFAModel
from mmfa_components.networks.presets import Sizes
from mmfa_components.weights import load_into
from pipelines.training.checkpoint import load_checkpoint, save_checkpoint, save_model
from pipelines.training.dataset import FaceClips
from pipelines.training.settings import TrainSettings
from pipelines.training.step import LandmarkLoss, generator_step

COMPILED = ("appearance_extractor", "dense_motion", "generator")


class Trainer:
    """Everything that changes while training; ``state`` and ``restore`` round-trip it."""

    def __init__(self, sizes: Sizes, settings: TrainSettings, device: torch.device) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.device = settings, device
        self.model = MMFAModel(sizes).to(device)
        self.discriminator = Discriminator(sizes).to(device)
        channels_last(self.model)
        self.averaged = copy.deepcopy(self.model).eval().requires_grad_(False)
        options: dict[str, Any] = {"lr": settings.rate, "betas": (0.5, 0.999), "fused": device.type == "cuda"}
        self.optimizer = torch.optim.Adam(self.model.parameters(), **options)
        self.judge_optimizer = torch.optim.Adam(self.discriminator.parameters(), **options)
        self.order = torch.Generator().manual_seed(settings.seed)
        self.step = self.samples = 0

    def start_from(self, weights: dict[str, torch.Tensor], where: str) -> None:
        """Start from a weights file's tensors instead of random ones (fresh optimisers). Raises WeightsError when they do not fit."""
        for model in (self.model, self.averaged):
            load_into(model, weights, where)

    def state(self) -> dict[str, object]:
        """All that is needed to go on."""
        parts = ("model", "discriminator", "averaged", "optimizer", "judge_optimizer")
        state: dict[str, object] = {name: getattr(self, name).state_dict() for name in parts}
        return {**state, "order": self.order.get_state(), "step": self.step, "samples": self.samples}

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state: dict[str, Any] = load_checkpoint(path, self.device)
        for name in ("model", "discriminator", "averaged", "optimizer", "judge_optimizer"):
            getattr(self, name).load_state_dict(state[name])
        self.order.set_state(state["order"].cpu())
        self.step, self.samples = state["step"], state["samples"]

    @torch.no_grad()
    def average(self) -> None:
        """Move the averaged weights towards the current ones; batch statistics are averaged alike."""
        decay = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        for kept, new in zip(self.averaged.state_dict().values(), self.model.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)

    def train_step(self, clips: FaceClips, vgg: nn.Module, landmark_loss: LandmarkLoss | None, rate: float) -> dict[str, Tensor]:
        """One step of generator and, once its time has come, discriminator. A step with a loss that is not finite is skipped."""
        settings, bf16 = self.settings, self.device.type == "cuda"
        for group in (*self.optimizer.param_groups, *self.judge_optimizer.param_groups):
            group["lr"] = rate
        pairs = clips.pairs(settings.batch, self.order, settings.stills)
        adversary = self.discriminator if self.step >= settings.gan_from else None
        ramp = min(1.0, max(0.0, (self.step - settings.landmarks_from) / settings.landmarks_ramp))
        landmarks = landmark_loss if landmark_loss and ramp > 0 else None
        scaled = None if landmarks is None else (lambda *args: ramp * landmarks(*args))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            out = generator_step(self.model, vgg, pairs, settings.weights, discriminator=adversary, landmark_loss=scaled)
        self.optimizer.zero_grad(set_to_none=True)
        out.total.backward()
        gradient = nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip)
        finite = torch.isfinite(gradient)
        if not finite:
            return {"skipped": torch.ones(())}
        self.optimizer.step()
        logged = {**{name: value.detach() for name, value in out.losses.items()}, "gradient": gradient}
        if adversary is not None:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
                real, _ = adversary(pairs.driving)
                fake, _ = adversary(out.result.detach())
                judged = adversarial.discriminator_loss(real, fake)
            self.judge_optimizer.zero_grad(set_to_none=True)
            judged.backward()
            self.judge_optimizer.step()
            logged["discriminator"] = judged.detach()
        self.step += 1
        self.samples += settings.batch
        self.average()
        return logged


def train(
    trainer: Trainer,
    clips: FaceClips,
    vgg: nn.Module,
    folder: Path,
    landmark_loss: LandmarkLoss | None = None,
    report: Callable[[str], None] = print,
) -> None:
    """Train until ``settings.minutes`` or ``settings.steps`` are used up; writes checkpoint, weights and losses.csv to ``folder``."""
    settings, start = trainer.settings, time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    if settings.compile:
        for name in COMPILED:
            getattr(trainer.model, name).compile()
    limit, last_save, last_log, last_samples = settings.minutes * 60, start, start, trainer.samples
    with (folder / "losses.csv").open("a", newline="") as file:
        log = csv.writer(file)
        while (spent := time.monotonic() - start) < limit and trainer.step < settings.steps:
            over = max(0.0, spent / limit - settings.decay_from) / max(1e-6, 1 - settings.decay_from)
            losses = trainer.train_step(clips, vgg, landmark_loss, settings.rate * (1 - 0.95 * over))
            if trainer.step % 50 == 0:
                now = time.monotonic()
                log.writerow([trainer.step, trainer.samples, *(f"{k}={float(v):.5g}" for k, v in losses.items())])
                if trainer.step % 250 == 0:
                    speed, last_log, last_samples = (trainer.samples - last_samples) / (now - last_log), now, trainer.samples
                    text = "  ".join(f"{k} {float(v):.4g}" for k, v in losses.items())
                    report(f"step {trainer.step}  {speed:.0f} images/s  {limit - spent:.0f} s left  {text}")
            if time.monotonic() - last_save > settings.save_every:
                save_all(trainer, folder)
                last_save = time.monotonic()
    save_all(trainer, folder)


def save_all(trainer: Trainer, folder: Path) -> None:
    """Write the checkpoint and the averaged weights."""
    save_checkpoint(folder / "checkpoint.pt", trainer.state())
    save_model(folder / f"mmfa_{trainer.model.sizes.name}.safetensors", trainer.averaged, {"samples": str(trainer.samples)})
