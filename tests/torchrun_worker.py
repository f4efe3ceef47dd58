"""What torchrun starts in tests: ``gradients`` writes the gradients of one step, ``run`` is python -m pipelines.run without VGG."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import tiny_training as tiny
import torch
from torch import distributed, nn

from pipelines.training.group import Group
from pipelines.training.schema import Losses
from pipelines.training.trainer import Trainer


def still_norms(trainer: Trainer) -> None:
    """Norms use their running statistics, so that a step does not depend on how the batch is cut."""
    for module in trainer.generator_step.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d | nn.BatchNorm1d):
            module.eval()


def gradients(group: Group, seed: int) -> dict[str, torch.Tensor]:
    """Gradients of one step of 8 pairs, averaged over the group."""
    losses = Losses(landmarks=0.0, centred=False)  # the mean over a batch depends on how it is cut, too
    made = tiny.pipeline(Path("unused"), batch=8, seed=seed, precision="float32", losses=losses)
    trainer = Trainer(tiny.SIZES, made, tiny.frozen(), torch.device("cpu"), group)
    still_norms(trainer)
    pairs, transform = trainer.pairs(tiny.clips())
    total, _, _ = trainer.generator_step(pairs, transform, None, 0.0)
    total.backward()
    return {name: p.grad for name, p in trainer.model.named_parameters() if p.grad is not None}


def main() -> int:
    torch.set_num_threads(1)
    tiny.use_tiny_preset()
    if sys.argv[1] == "gradients":
        distributed.init_process_group("gloo")
        group = Group(distributed.get_rank(), distributed.get_world_size())
        found = gradients(group, 3)
        torch.save(found, Path(sys.argv[2]) / f"rank{group.rank}.pt")
        distributed.destroy_process_group()
        return 0
    from pipelines import run
    from pipelines.training import session

    session.frozen_networks = lambda *_: tiny.frozen()
    os.environ["MMFA_WEIGHTS"] = sys.argv[2]  # an empty file there stands for VGG
    return run.main(sys.argv[3:])


if __name__ == "__main__":
    sys.exit(main())
