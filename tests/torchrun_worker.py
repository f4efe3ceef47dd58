"""What torchrun starts in tests: ``gradients`` writes the gradients of one step, ``run`` is python -m pipelines.run without VGG."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import tiny_training as tiny
import torch
from torch import distributed, nn

from pipelines.training.group import Group
from pipelines.training.trainer import Trainer
from plugins.mmfa.training.options import Losses
from plugins.mmfa.training.recipe import MMFARecipe


def still_norms(trainer: Trainer) -> None:
    """Norms use their running statistics, so that a step does not depend on how the batch is cut."""
    for module in trainer.objective.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d | nn.BatchNorm1d):
            module.eval()


def gradients(group: Group, seed: int) -> dict[str, torch.Tensor]:
    """Gradients of one step of 8 pairs, averaged over the group."""
    losses = Losses(landmarks=0.0, centred=False)  # the mean over a batch depends on how it is cut, too
    made = tiny.pipeline(Path("unused"), batch=8, seed=seed, precision="float32", losses=losses)
    trainer = tiny.trainer(made, group=group)
    still_norms(trainer)
    pairs, transform = trainer.batch(tiny.source())
    total, _, _ = trainer.objective(pairs, transform, trainer.moment, None)
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

    MMFARecipe.judges = lambda *_: tiny.judges()  # type: ignore[method-assign]
    os.environ["MMFA_WEIGHTS"] = sys.argv[2]  # an empty file there stands for VGG
    return run.main(sys.argv[3:])


if __name__ == "__main__":
    sys.exit(main())
