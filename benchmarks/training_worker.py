"""What each worker of benchmarks.training_scale does: whole steps, where their time goes, and the losses of the first few."""

from __future__ import annotations

import contextlib
import gc
from typing import Any

import attrs
import torch
from torch import Tensor, distributed
from torch.nn.parallel import DistributedDataParallel

from benchmarks.training_speed import Levers, clock, make_trainer, random_clips, sizes_of, source, whole_steps
from pipelines.engines.ray_train import Place
from pipelines.training.group import Group
from pipelines.training.loop import weighted
from pipelines.training.pairs import PairSource
from pipelines.training.session import as_training_runs
from pipelines.training.trainer import Trainer

REPEATS = 10


@attrs.frozen
class Setting:
    """What is measured. batch: of each worker when timed, of all workers together for the losses.  loss_steps: of the loss curve."""

    preset: str = "base"
    batch: int = 24
    steps: int = 40
    loss_steps: int = 8
    compile: bool = False
    graphs: bool = False


def measure(setting: Setting, place: Place) -> dict[str, Any]:
    """Every worker's part; what the first one returns speaks of all of them. Times in milliseconds a step."""
    torch.set_num_threads(max(1, torch.get_num_threads() // place.world))
    as_training_runs(place.device)
    timed = timings(setting, place)
    gc.collect()  # the timed networks go before others are made
    curves = {"losses": loss_curve(setting, place), "losses_by_pair": loss_curve(setting, place, by_pair=True)}
    if place.world == 1:  # yardsticks for a difference between curves
        curves |= {"losses_again": loss_curve(setting, place), "losses_of_another_seed": loss_curve(setting, place, seed=1)}
    first = {name: steps[0] for name, steps in curves["losses"].items()}
    totals = {name: curve["total"] for name, curve in curves.items()}
    return {**timed, **totals, "losses_of_first_step": first}


def timings(setting: Setting, place: Place) -> dict[str, Any]:
    """Steps with and without synchronisation, the input and the all-reduce alone."""
    trainer, material = _start(setting, place, setting.batch * place.world, Levers(compile=setting.compile, graphs=setting.graphs))
    together = whole_steps(trainer, material, setting.steps)
    pairs = _input_ms(trainer, material, setting.steps)
    all_reduce = _all_reduce_ms(trainer)
    with _unsynchronised(trainer):
        _meet(trainer)
        alone = whole_steps(trainer, material, setting.steps)
    names = ("ms_per_step", "memory_gib", "first_step_s", "alone", "pairs")
    mine = [together["ms_per_step"], together["memory_gib"], together["first_step_s"], alone["ms_per_step"], pairs]
    everyone = dict(zip(names, _of_all(trainer.group, mine, trainer.device).T.tolist(), strict=True))
    return {
        "workers": place.world,
        "device": torch.cuda.get_device_name(place.device) if place.device.type == "cuda" else "cpu",
        "batch_per_worker": setting.batch,
        "images_per_second": 1e3 * trainer.pipeline.run.batch / max(everyone["ms_per_step"]),
        "ms_per_step": max(everyone["ms_per_step"]),
        "ms_alone_by_worker": everyone["alone"],
        "pairs_ms_by_worker": everyone["pairs"],
        "all_reduce_alone_ms": all_reduce,
        "gradient_mb": gradient_bytes(trainer) / 1e6,
        "memory_gib": max(everyone["memory_gib"]),
        "first_step_s": max(everyone["first_step_s"]),
    }


def loss_curve(setting: Setting, place: Place, seed: int = 0, by_pair: bool = False) -> dict[str, list[float]]:
    """Losses by name and their weighted ``total``, step by step, averaged over the workers; ``setting.batch`` pairs among all of them.

    by_pair: no loss of a pair depends on the others of its batch (batch norms at rest, eq. 7 not centred), so that it makes no difference
    which worker has it.
    """
    trainer, material = _start(setting, place, setting.batch, Levers(centred=not by_pair), seed)
    if by_pair:
        trainer.model.eval()
    curve: dict[str, list[float]] = {}
    for _ in range(setting.loss_steps):
        losses = {name: float(trainer.group.mean(value.float())) for name, value in trainer.train_step(material).items()}
        for name, value in {**losses, "total": weighted(losses, trainer.recipe.weights)}.items():
            curve.setdefault(name, []).append(value)
    return curve


def gradient_bytes(trainer: Trainer) -> int:
    """Bytes of all gradients of a step, of the networks and the discriminator."""
    return sum(p.numel() * p.element_size() for module in (trainer.model, trainer.critic) for p in module.parameters())


def _start(setting: Setting, place: Place, batch: int, levers: Levers, seed: int = 0) -> tuple[Trainer, PairSource]:
    """The same clips, judges and networks on every worker, however many there are."""
    sizes = sizes_of(setting.preset)
    torch.manual_seed(0)
    clips = random_clips(sizes.image, place.device)
    group = Group(place.rank, place.world)
    trainer = make_trainer(setting.preset, levers, batch, place.device, group, seed)
    return trainer, source(trainer, clips)


def _unsynchronised(trainer: Trainer) -> contextlib.ExitStack:
    """Both networks' gradients and batch statistics stay with each worker inside the block."""
    stack = contextlib.ExitStack()
    for module in (trainer.objective, trainer.judge):
        if isinstance(module, DistributedDataParallel):
            stack.enter_context(module.no_sync())
    return stack


def _input_ms(trainer: Trainer, material: PairSource, repeats: int) -> float:
    trainer.batch(material)
    begun = clock(trainer.device)
    for _ in range(repeats):
        trainer.batch(material)
    return 1e3 * (clock(trainer.device) - begun) / repeats


def _all_reduce_ms(trainer: Trainer) -> float:
    """As much as the gradients in one piece, with nothing else going on."""
    if trainer.group.world == 1:
        return 0.0
    values = torch.zeros(gradient_bytes(trainer) // 4, device=trainer.device)
    distributed.all_reduce(values)
    _meet(trainer)
    begun = clock(trainer.device)
    for _ in range(REPEATS):
        distributed.all_reduce(values)
    return 1e3 * (clock(trainer.device) - begun) / REPEATS


def _meet(trainer: Trainer) -> None:
    """Go on when all workers are here."""
    trainer.group.mean(torch.zeros(1, device=trainer.device))
    clock(trainer.device)


def _of_all(group: Group, mine: list[float], device: torch.device) -> Tensor:
    """Everyone's values: (workers, values)."""
    table = torch.zeros(group.world, len(mine), dtype=torch.float64, device=device)
    table[group.rank] = torch.tensor(mine, dtype=torch.float64) * group.world
    return group.mean(table)
