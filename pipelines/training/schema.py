"""What a ``kind = "train"`` file may say: data, model, losses, optimiser, run, and where it runs.

The tables ``[model]``, ``[losses]`` and ``[schedule]`` are those of the recipe of the system that
is trained (training.options); the others are the same for every system.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import attrs
from attrs.validators import ge, gt, in_, instance_of, lt

from mmfa_components.training.options import UNIT, Model, NoLosses, Schedule, TrainingOptions


@attrs.frozen
class Data:
    """What is learnt from.

    folder: a data set of prepare_dataset.toml.
    stills: share of pairs that are single portraits, moved at random.
    moved: share of the other pairs whose frames are moved so as well, each by itself, so that
        places and sizes differ more than in the clips.
    flip: mirror half of the pairs, with their labels.
    jitter: largest change of brightness, contrast and saturation, the same for both images.
    tint: the same of red, green and blue.
    reshaped: share of pairs whose face is given another shape, the same in both images
        (training.reshape); not in the paper.
    hold: where the frames are kept - "device" memory, main "memory", or read from "disk" as needed;
        "auto" takes the first of these with room.

    Both frames of a pair are drawn at random from their clip, so every pair is also seen reversed
    in time.
    """

    folder: str = "datasets/faces"
    stills: float = attrs.field(default=0.15, validator=UNIT)
    moved: float = attrs.field(default=0.3, validator=UNIT)
    flip: bool = True
    jitter: float = attrs.field(default=0.1, validator=UNIT)
    tint: float = attrs.field(default=0.0, validator=UNIT)
    reshaped: float = attrs.field(default=0.0, validator=UNIT)
    hold: Literal["auto", "device", "memory", "disk"] = "auto"


@attrs.frozen
class Optimiser:
    """Adam.

    clip: largest gradient norm.
    average: decay of the averaged (EMA) weights, which are the ones that are shipped.
    """

    rate: float = attrs.field(default=2e-4, validator=gt(0.0))
    betas: tuple[float, float] = (0.5, 0.999)
    clip: float = attrs.field(default=10.0, validator=gt(0.0))
    average: float = attrs.field(default=0.999, validator=[ge(0.0), lt(1.0)])


@attrs.frozen
class Run:
    """How long, how, and what is written.

    folder: checkpoint, weights, losses.csv, TensorBoard files and pictures.
    steps: total of the run, over all calls.  minutes: limit of this call, 0 = none.
    batch: pairs a step, over all workers.
    seed: of weights and of the order of the data.
    device, precision: as in batch_reenact.toml ("auto" is bfloat16 on a GPU, float32 on a CPU).
    compile: torch.compile the heavy networks (pays off in long runs).
    graphs: record each network as a CUDA graph (training.graphs).
    channels_last: memory layout that GPUs convolve faster in.
    save, log, picture, validate: every how many steps; 0 = only at the end (log: never).
    bad_steps: how many steps in a row may give a loss that is no number before the run is ended.
    """

    folder: str = "runs/base"
    steps: int = attrs.field(default=100_000, validator=gt(0))
    minutes: float = attrs.field(default=0.0, validator=ge(0.0))
    batch: int = attrs.field(default=24, validator=gt(0))
    seed: int = 0
    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False
    graphs: bool = False
    channels_last: bool = True
    save: int = attrs.field(default=1000, validator=ge(0))
    log: int = attrs.field(default=50, validator=ge(0))
    picture: int = attrs.field(default=1000, validator=ge(0))
    validate: int = attrs.field(default=0, validator=ge(0))
    tensorboard: bool = True
    bad_steps: int = attrs.field(default=20, validator=gt(0))


@attrs.frozen
class Scale:
    """Where it runs.

    engine: "process" (this one), "ray" (Ray Train, DDP) or "torchrun" (the processes that torchrun
        started, DDP).
    workers: for Ray, one a GPU or CPU processes.
    address: of a Ray cluster, "" starts one here.
    storage: folder or store Ray keeps checkpoints in, which all machines can reach; "" is
        run.folder.
    """

    engine: Literal["process", "ray", "torchrun"] = "process"
    workers: int = attrs.field(default=1, validator=gt(0))
    address: str = ""
    storage: str = ""


@attrs.frozen
class TrainPipeline:
    """A whole file of this kind. ``weights`` names the files of frozen networks.

    Files are read as ``train_schema(options)``, which has the tables of a recipe in place of the
    general ones here.
    """

    kind: str = attrs.field(default="train", validator=[instance_of(str), in_(("train",))])
    description: str = ""
    data: Data = attrs.field(factory=Data)
    model: Model = attrs.field(factory=Model)
    losses: Any = attrs.field(factory=NoLosses)
    schedule: Schedule = attrs.field(factory=Schedule)
    optimiser: Optimiser = attrs.field(factory=Optimiser)
    run: Run = attrs.field(factory=Run)
    scale: Scale = attrs.field(factory=Scale)
    weights: dict[str, str] = attrs.field(factory=dict)

    def options(self, of: type[Any]) -> Any:
        """The recipe's options of class ``of``, out of the tables of its name."""
        return of(**{field.name: getattr(self, field.name) for field in attrs.fields(of)})

    def __reduce__(self) -> tuple[Any, ...]:
        """Classes made by ``train_schema`` are made anew where a pipeline is unpickled."""
        values = {f.name: getattr(self, f.name) for f in attrs.fields(type(self))}
        return _rebuilt, (getattr(type(self), "__options__", TrainingOptions), values)


def _rebuilt(options: type[Any], values: dict[str, Any]) -> TrainPipeline:
    return train_schema(options)(**values)


def train_schema(options: type[Any]) -> type[TrainPipeline]:
    """The class of training files of a recipe with these options."""
    made: type[TrainPipeline] = schema_with(TrainPipeline, options)
    return made


_MADE: dict[tuple[type[Any], type[Any]], Any] = {}


def schema_with(base: type[Any], options: type[Any]) -> Any:
    """``base`` with the tables of a recipe's options, each in place of one of the same name."""
    if (base, options) in _MADE:
        return _MADE[base, options]
    attrs.resolve_types(options)
    fields = {f.name: attrs.field(type=f.type, default=f.default) for f in attrs.fields(options)}
    made: Any = attrs.make_class(base.__name__, fields, bases=(base,), frozen=True, slots=True)
    made.__module__, made.__doc__ = base.__module__, base.__doc__
    made.__options__ = options
    return _MADE.setdefault((base, options), made)


@attrs.frozen
class TrainPlan:
    """A checked pipeline. ``origin`` is the TOML file."""

    pipeline: TrainPipeline
    origin: Path
