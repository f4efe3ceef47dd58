"""What a ``kind = "train_vae"`` file may say, beside the tables of the recipe it trains by."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import attrs
from attrs.validators import gt, in_, instance_of, lt

from mmfa_components.training.options import Schedule
from mmfa_components.training.vae import LatentRun
from pipelines.config.places import CACHE, cache_folder
from pipelines.training.schema import Optimiser, Run, TrainPipeline


@attrs.frozen
class VAEData:
    """What is learnt from.

    cache: motion cache whose expression features these are.
    held_out: share of the clips that is kept for the figures.
    """

    cache: str = attrs.field(default=CACHE, converter=cache_folder)
    held_out: float = attrs.field(default=0.1, validator=[gt(0.0), lt(1.0)])


@attrs.frozen
class VAEPipeline:
    """A whole file of this kind.

    Files are read with the tables of a recipe's options, such as ``[losses]``, beside these here
    (``training.schema.schema_with``).

    system: the animator whose features these are, "" for the default one.  preset: of it.
    weights: replaces weights files by name.
    """

    kind: str = attrs.field(default="train_vae", validator=[instance_of(str), in_(("train_vae",))])
    description: str = ""
    system: str = ""
    preset: str = "base"
    data: VAEData = attrs.field(factory=VAEData)
    run: LatentRun = attrs.field(factory=LatentRun)
    weights: dict[str, str] = attrs.field(factory=dict)

    def options(self, of: type[Any]) -> Any:
        """The recipe's options of class ``of``."""
        return of(**{field.name: getattr(self, field.name) for field in attrs.fields(of)})

    def machine(self) -> TrainPipeline:
        """How the training machine runs it: the networks as they are, no average of them."""
        run = self.run
        return TrainPipeline(
            run=Run(
                folder=run.folder,
                steps=run.steps,
                batch=run.batch,
                seed=run.seed,
                device=run.device,
                precision="float32",
                channels_last=False,
                save=0,
                log=100,
                tensorboard=False,
                bad_steps=1,
            ),
            optimiser=Optimiser(rate=run.rate, clip=math.inf, average=0.0),
            schedule=Schedule(decay_from=run.steps // 4, decay_to=run.steps),
        )


@attrs.frozen
class VAEPlan:
    """A checked pipeline. ``origin`` is the TOML file."""

    pipeline: VAEPipeline
    origin: Path
