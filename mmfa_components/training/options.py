"""What a training file says of the system itself; a recipe extends these tables by its own keys."""

from __future__ import annotations

from typing import Literal

import attrs
from attrs.validators import ge, le

UNIT = [ge(0.0), le(1.0)]


@attrs.frozen
class Model:
    """What is trained.

    system: the animator whose networks are trained, "" for the default one.
    preset: sizes of the networks.
    start: weights file a new run starts from, "" for random weights.
    trained: networks, or parts of them by their names in a weights file ("generator",
        "dense_motion.surface"), that are trained; the others stay as they are, batch statistics
        included. Empty: all.
    norms: statistics of the batch norms - "batch", of the images at hand, or "running", those that
        come with ``start``, which are kept: what is trained is then exactly what is used, a batch
        may be small, and a step is shorter. "batch" is the default because a training from nothing
        has no statistics to keep; from trained weights both end alike (docs/training_log.md,
        run 12).
    """

    system: str = ""
    preset: str = ""
    start: str = ""
    trained: tuple[str, ...] = ()
    norms: Literal["batch", "running"] = "batch"


@attrs.frozen
class Schedule:
    """Steps at which things change.

    warmup: steps over which the learning rate rises.
    decay_from, decay_to: steps between which it falls along a half cosine to ``final_rate`` times
        itself (decay_to 0: never).
    """

    warmup: int = attrs.field(default=0, validator=ge(0))
    decay_from: int = attrs.field(default=0, validator=ge(0))
    decay_to: int = attrs.field(default=0, validator=ge(0))
    final_rate: float = attrs.field(default=0.05, validator=UNIT)


@attrs.frozen
class NoLosses:
    """For recipes whose losses have no options."""


@attrs.frozen
class TrainingOptions:
    """Options of a recipe: the tables ``[model]``, ``[losses]``, ``[schedule]`` of a training file.

    A recipe's own class overrides them by its own, each field with a default. A table of another
    name becomes a table of the file.
    """

    model: Model = attrs.field(factory=Model)
    losses: object = attrs.field(factory=NoLosses)
    schedule: Schedule = attrs.field(factory=Schedule)
