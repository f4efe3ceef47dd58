"""Everything that changes while training, and one step of it.

A step is a function of the state, the seed and its number.
"""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import torch
from torch import Tensor, nn

from mmfa_components.errors import TrainingError
from mmfa_components.networks.blocks import channels_last
from mmfa_components.training.recipe import Material, Moment, TrainingRecipe
from mmfa_components.weights import load_into
from pipelines.training.buffers import buffers_kept
from pipelines.training.frozen_parts import freeze_all_but, freeze_norms
from pipelines.training.graphs import record_function, record_networks
from pipelines.training.group import Group
from pipelines.training.schedule import learning_rate
from pipelines.training.schema import TrainPipeline

ALONE = Group()
STATE = {
    "model": "model",
    "averaged": "averaged",
    "optimizer": "optimizer",
    "discriminator": "critic",
    "judge_optimizer": "critic_optimizer",
}
"""What is kept, by its name in a checkpoint."""


class Trainer:
    """Networks, averaged networks, critic, optimisers and the step number.

    ``state`` and ``restore`` round-trip all of it. judges: what the recipe's ``judges`` gave.
    """

    def __init__(
        self,
        recipe: TrainingRecipe,
        pipeline: TrainPipeline,
        judges: Any,
        device: torch.device,
        group: Group = ALONE,
    ) -> None:
        run = pipeline.run
        torch.manual_seed(run.seed)
        self.recipe, self.pipeline, self.judges = recipe, pipeline, judges
        self.device, self.group = device, group
        self.model = recipe.networks().to(device)
        self.critic = recipe.critic(judges, device)
        if run.channels_last:
            channels_last(self.model)
        self.averaged = copy.deepcopy(self.model).eval().requires_grad_(False)
        freeze_all_but(self.model, pipeline.model.trained)
        if pipeline.model.norms == "running":
            freeze_norms(self.model)
        self.objective = recipe.objective(self.model, judges)
        self.judge = self.critic
        rate, betas = pipeline.optimiser.rate, pipeline.optimiser.betas
        options: dict[str, Any] = {"lr": rate, "betas": betas, "fused": device.type == "cuda"}
        learning = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(learning, **options)
        self.critic_optimizer = None if self.critic is None else torch.optim.Adam(self.critic.parameters(), **options)
        self.step = self.samples = self.bad = 0
        if run.compile:
            for name in recipe.compiled:
                getattr(self.model, name).compile()
        self.to_record = run.graphs and device.type == "cuda" and bool(recipe.parts)
        if not self.to_record:
            self._join()

    # ---- state ----------------------------------------------------------------------------------
    def start_from(self, weights: dict[str, Tensor], where: str) -> None:
        """Start from a weights file's tensors instead of random ones, with fresh optimisers.

        Raises WeightsError when they do not fit.
        """
        for model in (self.model, self.averaged):
            load_into(model, weights, where)

    def prepare(self, material: Material) -> None:
        """Set what of a new run's networks follows from the material (``recipe.prepare``)."""
        for model in (self.model, self.averaged):
            self.recipe.prepare(model, material)

    def state(self) -> dict[str, object]:
        """All that is needed to go on.

        The order of the data and all random numbers follow from seed and step.
        """
        kept = {name: getattr(self, own) for name, own in STATE.items()}
        state: dict[str, object] = {k: v.state_dict() for k, v in kept.items() if v is not None}
        counts = {"step": self.step, "samples": self.samples}
        return {**state, **counts, "preset": self.recipe.identity}

    def restore(self, state: dict[str, Any], where: str) -> None:
        """Go on from a state. Raises TrainingError when it belongs to other networks."""
        own = self.recipe.identity
        try:
            if state["preset"] != own:
                raise ValueError(f"made with preset {state['preset']!r}, not {own!r}")
            for name, attribute in STATE.items():
                part = getattr(self, attribute)
                if part is not None:
                    part.load_state_dict(state[name])
            self.step, self.samples = state["step"], state["samples"]
        except (KeyError, ValueError, RuntimeError, TypeError) as error:
            text = str(error).splitlines()[0]
            what = f"the checkpoint does not fit this run ({text})"
            fix = "choose another run.folder, or remove the checkpoint to start anew"
            raise TrainingError(what, where=where, fix=fix) from error

    # ---- one step -------------------------------------------------------------------------------
    @property
    def moment(self) -> Moment:
        """The step at hand; after a bad step another attempt, with other random numbers."""
        return Moment(self.pipeline.run.seed, self.step, self.bad)

    def batch(self, material: Material) -> tuple[Any, Any]:
        """This process's share of the batch of the step at hand, and what is drawn beside it."""
        generator, count, group = self.moment.generator(), self.pipeline.run.batch, self.group
        batch = material.batch(count, generator, group.rank, group.world, self.device)
        drawn = self.recipe.draw(count, generator, self.device)
        return batch, None if drawn is None else drawn.part(group.rank, group.world)

    def train_step(self, material: Material) -> dict[str, Tensor]:
        """One step of the networks and of the critic; the losses by name (this process's).

        When a loss or gradient is no finite number nothing is changed, and the next call draws
        another batch. Raises TrainingError after ``run.bad_steps`` such steps in a row.
        """
        self._set_rates()
        batch, drawn = self.batch(material)
        if self.to_record:
            self._record(batch, drawn)
        with buffers_kept(self.model) as kept:
            self._let_critic_learn(False)
            with self.precision():
                total, losses, exhibits = self.objective(batch, drawn, self.moment, self.critic)
            self.optimizer.zero_grad(set_to_none=True)
            total.backward()
            clip = self.pipeline.optimiser.clip
            gradient = nn.utils.clip_grad_norm_(self.model.parameters(), clip)
            kept.put_back = not bool(torch.isfinite(gradient))
        self._let_critic_learn(True)
        if kept.put_back:
            self._bad_step(losses)
            return {"bad": torch.ones((), device=self.device)}
        self.bad = 0
        self.optimizer.step()
        logged = {name: value.detach() for name, value in losses.items()}
        logged["gradient"] = gradient.detach()
        if exhibits is not None:
            logged |= self._critic_step(exhibits)
        self.step += 1
        self.samples += self.pipeline.run.batch
        self._average()
        return logged

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """The precision a forward pass runs in."""
        chosen = self.pipeline.run.precision
        on = chosen == "bfloat16" or (chosen == "auto" and self.device.type == "cuda")
        return torch.autocast(self.device.type, torch.bfloat16, enabled=on)

    def _set_rates(self) -> None:
        own, schedule = self.pipeline.optimiser.rate, self.pipeline.schedule
        critic = own if self.recipe.critic_rate is None else self.recipe.critic_rate
        for optimizer, rate in ((self.optimizer, own), (self.critic_optimizer, critic)):
            for group in () if optimizer is None else optimizer.param_groups:
                group["lr"] = learning_rate(self.step, rate, schedule)

    def _let_critic_learn(self, learns: bool) -> None:
        if self.critic is not None:
            self.critic.requires_grad_(learns)

    def _join(self) -> None:
        """From here on gradients are averaged over all processes."""
        unused = self.recipe.some_unused
        self.objective = self.group.wrap(self.objective, self.device, some_unused=unused)
        if self.critic is not None:
            self.judge = self.group.wrap(self.critic, self.device)

    def _record(self, batch: Any, drawn: Any) -> None:
        recipe, objective = self.recipe, self.objective

        def forward() -> None:
            recipe.rehearse(objective, batch, drawn)

        record_networks(self.model, recipe.parts, forward, self.precision)
        recipe.record_judges(objective, batch, record_function)
        self.to_record = False
        self._join()

    def _critic_step(self, exhibits: Any) -> dict[str, Tensor]:
        assert self.critic is not None
        assert self.judge is not None
        assert self.critic_optimizer is not None
        with self.precision():
            losses = self.recipe.critic_step(self.judge, exhibits)
            loss = torch.stack(list(losses.values())).sum()
        self.critic_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        clip = self.pipeline.optimiser.clip
        gradient = nn.utils.clip_grad_norm_(self.critic.parameters(), clip)
        if bool(torch.isfinite(gradient)):
            self.critic_optimizer.step()
        return {name: value.detach() for name, value in losses.items()}

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averaged weights towards the current ones; batch statistics alike."""
        decay = min(self.pipeline.optimiser.average, (1 + self.step) / (10 + self.step))
        kept = list(self.averaged.state_dict().values())
        new = list(self.model.state_dict().values())
        floats = [(k, n) for k, n in zip(kept, new, strict=True) if k.is_floating_point()]
        torch._foreach_lerp_([k for k, _ in floats], [n for _, n in floats], 1 - decay)
        for k, n in zip(kept, new, strict=True):
            if not k.is_floating_point():
                k.copy_(n)

    def _bad_step(self, losses: dict[str, Tensor]) -> None:
        self.bad += 1
        if self.bad >= self.pipeline.run.bad_steps:
            broken = [name for name, value in losses.items() if not bool(torch.isfinite(value))]
            told = ", ".join(broken) or "all losses are finite"
            rows = f"{self.bad} steps in a row" if self.bad > 1 else "the step"
            what = f"{rows} gave no finite {'loss' if broken else 'gradient'} ({told})"
            fix = f"{self.recipe.remedy}, and go on from the last checkpoint"
            raise TrainingError(what, where=f"step {self.step}", fix=fix)
