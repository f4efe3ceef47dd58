"""Everything that changes while training, and one step of it. A step is a function of the state, the seed and its number."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from mmfa_components.errors import TrainingError
from mmfa_components.losses import adversarial
from mmfa_components.losses.equivariance import ImageTransform
from mmfa_components.networks.blocks import channels_last
from mmfa_components.networks.critics.perceptual import PerceptualDiscriminator, judged
from mmfa_components.weights import load_into
from pipelines.training.buffers import buffers_kept
from pipelines.training.dataset import FaceClips
from pipelines.training.frozen_parts import freeze_all_but, freeze_norms
from pipelines.training.graphs import record_function, record_networks
from pipelines.training.group import Group
from pipelines.training.pairs import Pairs, draw_pairs, make_pairs
from pipelines.training.recognition import Recogniser
from pipelines.training.schedule import landmark_ramp, learning_rate, step_generator
from pipelines.training.schema import TrainPipeline
from pipelines.training.step import REGION_SIDE, AnimationStep, Frozen
from plugins.mmfa.model import MMFAModel
from plugins.mmfa.presets import Sizes, discriminator
from plugins.packaged.sface import SIDE

COMPILED = ("appearance_extractor", "dense_motion", "generator")
PARTS = ("model", "discriminator", "averaged", "optimizer", "judge_optimizer")


class Trainer:
    """Networks, averaged networks, optimisers and the step number; ``state`` and ``restore`` round-trip all of it."""

    def __init__(self, sizes: Sizes, pipeline: TrainPipeline, frozen: Frozen, device: torch.device, group: Group = Group()) -> None:  # noqa: B008
        run = pipeline.run
        torch.manual_seed(run.seed)
        self.pipeline, self.device, self.group, self.frozen = pipeline, device, group, frozen
        self.model = MMFAModel(sizes).to(device)
        self.discriminator = _discriminator(sizes, pipeline, frozen, device)
        if run.channels_last:
            channels_last(self.model)
        self.averaged = copy.deepcopy(self.model).eval().requires_grad_(False)
        freeze_all_but(self.model, pipeline.model.trained)
        if pipeline.model.norms == "running":
            freeze_norms(self.model)
        self.generator_step: nn.Module = AnimationStep(self.model, frozen, pipeline.losses)
        self.judge: nn.Module = self.discriminator
        options: dict[str, Any] = {"lr": pipeline.optimiser.rate, "betas": pipeline.optimiser.betas, "fused": device.type == "cuda"}
        self.optimizer = torch.optim.Adam([p for p in self.model.parameters() if p.requires_grad], **options)
        self.judge_optimizer = torch.optim.Adam(self.discriminator.parameters(), **options)
        self.step = self.samples = self.bad = 0
        if run.compile:
            for name in COMPILED:
                getattr(self.model, name).compile()
        self.to_record = run.graphs and device.type == "cuda"
        if not self.to_record:
            self._join()

    # ---- state ---------------------------------------------------------------------------------------------------
    def start_from(self, weights: dict[str, Tensor], where: str) -> None:
        """Start from a weights file's tensors instead of random ones (fresh optimisers). Raises WeightsError when they do not fit."""
        for model in (self.model, self.averaged):
            load_into(model, weights, where)

    def state(self) -> dict[str, object]:
        """All that is needed to go on. The order of the data and all random numbers follow from seed and step."""
        state: dict[str, object] = {name: getattr(self, name).state_dict() for name in PARTS}
        return {**state, "step": self.step, "samples": self.samples, "preset": self.model.sizes.name}

    def restore(self, state: dict[str, Any], where: str) -> None:
        """Go on from a state. Raises TrainingError when it belongs to other networks."""
        try:
            if state["preset"] != self.model.sizes.name:
                raise ValueError(f"made with preset {state['preset']!r}, not {self.model.sizes.name!r}")
            for name in PARTS:
                getattr(self, name).load_state_dict(state[name])
            self.step, self.samples = state["step"], state["samples"]
        except (KeyError, ValueError, RuntimeError, TypeError) as error:
            text = str(error).splitlines()[0]
            fix = "choose another run.folder, or remove the checkpoint to start anew"
            raise TrainingError(f"the checkpoint does not fit this run ({text})", where=where, fix=fix) from error

    # ---- one step ------------------------------------------------------------------------------------------------
    def pairs(self, clips: FaceClips) -> tuple[Pairs, ImageTransform]:
        """This process's share of the pairs of the step at hand, and their transforms for eq. 15."""
        generator = step_generator(self.pipeline.run.seed, self.step, self.bad)  # other pairs after a bad step
        count, group = self.pipeline.run.batch, self.group
        draw = draw_pairs(clips, count, generator, self.pipeline.data)
        transform = ImageTransform.random(count, self.device, generator)
        return make_pairs(clips, draw.part(group.rank, group.world), self.device), transform.part(group.rank, group.world)

    def train_step(self, clips: FaceClips) -> dict[str, Tensor]:
        """One step of the networks and, once its time has come, of the discriminator; the losses by name (this process's).

        When a loss or gradient is no finite number nothing is changed, and the next call draws other pairs.
        Raises TrainingError after ``run.bad_steps`` such steps in a row.
        """
        pipeline, step = self.pipeline, self.step
        for group in (*self.optimizer.param_groups, *self.judge_optimizer.param_groups):
            group["lr"] = learning_rate(step, pipeline.optimiser.rate, pipeline.schedule)
        images = step >= pipeline.schedule.images_from
        adversarial_on = images and step >= pipeline.schedule.adversarial_from and pipeline.losses.adversarial + pipeline.losses.feature_matching > 0
        ramp = landmark_ramp(step, pipeline.schedule) if pipeline.losses.landmarks else 0.0
        pairs, transform = self.pairs(clips)
        if self.to_record:
            self._record(pairs, transform)
        with buffers_kept(self.model) as kept:
            self.discriminator.requires_grad_(False)
            with self.precision():
                judge = self.discriminator if adversarial_on else None
                total, losses, exhibits = self.generator_step(pairs, transform, judge, ramp, images, self._corner())
            self.optimizer.zero_grad(set_to_none=True)
            total.backward()
            gradient = nn.utils.clip_grad_norm_(self.model.parameters(), pipeline.optimiser.clip)
            kept.put_back = not bool(torch.isfinite(gradient))
        self.discriminator.requires_grad_(True)
        if kept.put_back:
            self._bad_step(losses)
            return {"bad": torch.ones((), device=self.device)}
        self.bad = 0
        self.optimizer.step()
        logged = {**{name: value.detach() for name, value in losses.items()}, "gradient": gradient.detach()}
        if exhibits is not None:
            logged["discriminator"] = self._judge_step(*exhibits)
        self.step += 1
        self.samples += pipeline.run.batch
        self._average()
        return logged

    def _corner(self) -> tuple[float, float]:
        """Where the window of ``losses.window`` lies in this step, the same on every process."""
        if not self.pipeline.losses.window:
            return 0.0, 0.0
        y, x = torch.rand(2, generator=step_generator(self.pipeline.run.seed, self.step, -1 - self.bad)).tolist()
        return y, x

    def _join(self) -> None:
        """From here on gradients are averaged over all processes."""
        self.generator_step = self.group.wrap(self.generator_step, self.device, some_unused=self.pipeline.schedule.images_from > 0)
        self.judge = self.group.wrap(self.discriminator, self.device)

    def _record(self, pairs: Pairs, transform: ImageTransform) -> None:
        step = self.generator_step
        assert isinstance(step, AnimationStep)
        record_networks(self.model, lambda: step(pairs, transform), self.precision)
        if step.frozen.landmarks is not None:
            region = torch.rand(len(pairs), 3, REGION_SIDE, REGION_SIDE, device=self.device)
            step.frozen = attrs.evolve(step.frozen, landmarks=record_function(step.frozen.landmarks, region))
        if step.frozen.recogniser is not None:
            faces = torch.rand(len(pairs), 3, SIDE, SIDE, device=self.device)
            step.frozen = attrs.evolve(step.frozen, recogniser=Recogniser(record_function(step.frozen.recogniser.embed, faces)))
        self.to_record = False
        self._join()

    def _judge_step(self, real: list[Tensor], fake: list[Tensor]) -> Tensor:
        with self.precision():
            scores, _ = self.judge(*(torch.cat([r, f.to(r)]) for r, f in zip(real, fake, strict=True)))
            loss = adversarial.discriminator_loss(*scores.chunk(2))
        self.judge_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        gradient = nn.utils.clip_grad_norm_(self.discriminator.parameters(), self.pipeline.optimiser.clip)
        if bool(torch.isfinite(gradient)):
            self.judge_optimizer.step()
        return loss.detach()

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """The precision a forward pass runs in."""
        chosen = self.pipeline.run.precision
        on = chosen == "bfloat16" or (chosen == "auto" and self.device.type == "cuda")
        return torch.autocast(self.device.type, torch.bfloat16, enabled=on)

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averaged weights towards the current ones; batch statistics are averaged alike."""
        decay = min(self.pipeline.optimiser.average, (1 + self.step) / (10 + self.step))
        kept, new = list(self.averaged.state_dict().values()), list(self.model.state_dict().values())
        floats = [(k, n) for k, n in zip(kept, new, strict=True) if k.is_floating_point()]
        torch._foreach_lerp_([k for k, _ in floats], [n for _, n in floats], 1 - decay)
        for k, n in zip(kept, new, strict=True):
            if not k.is_floating_point():
                k.copy_(n)

    def _bad_step(self, losses: dict[str, Tensor]) -> None:
        self.bad += 1
        if self.bad >= self.pipeline.run.bad_steps:
            broken = [name for name, value in losses.items() if not bool(torch.isfinite(value))]
            what = f"{self.bad} steps in a row gave no finite {'loss' if broken else 'gradient'} ({', '.join(broken) or 'all losses are finite'})"
            fix = "lower optimiser.rate or the weights of these losses, and go on from the last checkpoint"
            raise TrainingError(what, where=f"step {self.step}", fix=fix)


@torch.no_grad()
def _discriminator(sizes: Sizes, pipeline: TrainPipeline, frozen: Frozen, device: torch.device) -> nn.Module:
    if pipeline.model.discriminator == "pixels":
        return discriminator(sizes).to(device)
    shown = judged(frozen.perceptual(torch.zeros(1, 3, sizes.image, sizes.image, device=device)))
    return PerceptualDiscriminator([x.shape[1] for x in shown]).to(device)
