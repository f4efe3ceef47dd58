"""What a ``kind = "train"`` file may say: data, model, every loss with its weight, optimiser, run, and where it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs
from attrs.validators import ge, gt, in_, instance_of, le, lt

UNIT = [ge(0.0), le(1.0)]


@attrs.frozen
class Data:
    """What is learnt from.

    folder: a data set of prepare_dataset.toml.  stills: share of pairs that are single portraits, moved at random.  moved: share of the
    other pairs whose frames are moved so as well, each by itself, so that places and sizes differ more than in the clips.  flip: mirror half
    of the pairs, rotations with them.  jitter: largest change of brightness, contrast and saturation, the same for both images of a
    pair.  tint: the same of red, green and blue.  reshaped: share of pairs whose face is given another shape, the same in both images
    (see training.reshape); not in the paper.  hold: where the frames are kept - "device" memory, main "memory", or read from "disk" as
    needed; "auto" takes the first of these with room.  Both frames of a pair are drawn at random from their clip, so every pair is also
    seen reversed in time.
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
class Model:
    """preset: sizes of the networks.  start: weights file a new run starts from, "" for random weights.

    trained: networks, or parts of them by their names in a weights file ("generator", "dense_motion.surface"), that are trained; the others
    stay as they are, batch statistics included. Empty: all.
    norms: statistics of the batch norms - "batch", of the images at hand, or "running", those that come with ``start``, which are kept: what is
    trained is then exactly what is used, a batch may be small, and a step is shorter. "batch" is the default because a training from nothing
    has no statistics to keep; from trained weights both end alike (docs/training_log.md, run 12).
    discriminator: what the adversary judges, "pixels" (the paper's) or "features" of the perceptual network (see networks.critics.perceptual).
    """

    preset: str = "base"
    start: str = ""
    trained: tuple[str, ...] = ()
    norms: Literal["batch", "running"] = "batch"
    discriminator: Literal["pixels", "features"] = "pixels"


@attrs.frozen
class LandmarkParts:
    """Weights of the three parts of the landmark loss (eq. 9)."""

    mouth: float = attrs.field(default=1.5, validator=ge(0.0))
    eyes: float = attrs.field(default=2.0, validator=ge(0.0))
    rest: float = attrs.field(default=0.5, validator=ge(0.0))


@attrs.frozen
class Losses:
    """Weights of eq. 14; 0 leaves a loss out. The paper's own weights of representation, identity and landmarks are lost.

    perceptual: VGG features of all three sizes (eq. 6).  face: features of a face network at full size (eq. 6).  recognition: cosine of
    the face's embedding, not in the paper (see losses.recognition).  adversarial, feature_matching: LSGAN.  equivariance: eq. 15.
    keypoint_prior, deformation_prior: A.2.  representation: eq. 7.  identity: eq. 8.  landmarks: eq. 9, times
    ``landmark_parts``.  guide, place: keypoints, and scale and translation, led by landmarks, not in the paper (see losses.guide).
    centred: eq. 7 on features less their batch mean (see losses.representation).
    levels: pyramid levels of the perceptual loss for results of 64, 128 and 256.
    window: pixels of a side of the random window of the finest result that the perceptual loss, the face network and the adversary look at,
    for speed; 0: all of it. The window is another one in each step.
    """

    perceptual: float = attrs.field(default=10.0, validator=ge(0.0))
    face: float = attrs.field(default=0.0, validator=ge(0.0))
    recognition: float = attrs.field(default=0.0, validator=ge(0.0))
    adversarial: float = attrs.field(default=1.0, validator=ge(0.0))
    feature_matching: float = attrs.field(default=10.0, validator=ge(0.0))
    equivariance: float = attrs.field(default=20.0, validator=ge(0.0))
    keypoint_prior: float = attrs.field(default=10.0, validator=ge(0.0))
    deformation_prior: float = attrs.field(default=5.0, validator=ge(0.0))
    representation: float = attrs.field(default=2.0, validator=ge(0.0))
    identity: float = attrs.field(default=5.0, validator=ge(0.0))
    landmarks: float = attrs.field(default=80.0, validator=ge(0.0))
    guide: float = attrs.field(default=20.0, validator=ge(0.0))
    place: float = attrs.field(default=10.0, validator=ge(0.0))
    landmark_parts: LandmarkParts = attrs.field(factory=LandmarkParts)
    centred: bool = True
    levels: tuple[int, int, int] = (1, 1, 2)
    window: int = attrs.field(default=0, validator=ge(0))


@attrs.frozen
class Schedule:
    """Steps at which things change.

    warmup: steps over which the learning rate rises.  decay_from, decay_to: steps between which it falls along a half cosine to
    ``final_rate`` times itself (decay_to 0: never).  adversarial_from: first step with the adversary.  landmarks_from: first step with
    the landmark loss, which grows over ``landmarks_ramp`` steps; from step 0 it makes the networks collapse to a flat picture.
    images_from: first step that makes images; before it only the networks of motion are trained, by the losses that need none.
    """

    warmup: int = attrs.field(default=0, validator=ge(0))
    decay_from: int = attrs.field(default=0, validator=ge(0))
    decay_to: int = attrs.field(default=0, validator=ge(0))
    final_rate: float = attrs.field(default=0.05, validator=UNIT)
    adversarial_from: int = attrs.field(default=3000, validator=ge(0))
    landmarks_from: int = attrs.field(default=2000, validator=ge(0))
    landmarks_ramp: int = attrs.field(default=1500, validator=ge(0))
    images_from: int = attrs.field(default=0, validator=ge(0))


@attrs.frozen
class Optimiser:
    """Adam. clip: largest gradient norm.  average: decay of the averaged (EMA) weights, which are the ones that are shipped."""

    rate: float = attrs.field(default=2e-4, validator=gt(0.0))
    betas: tuple[float, float] = (0.5, 0.999)
    clip: float = attrs.field(default=10.0, validator=gt(0.0))
    average: float = attrs.field(default=0.999, validator=[ge(0.0), lt(1.0)])


@attrs.frozen
class Run:
    """How long, how, and what is written.

    folder: checkpoint, weights, losses.csv, TensorBoard files and pictures.  steps: total of the run, over all calls.  minutes: limit of
    this call, 0 = none.  batch: pairs a step, over all workers.  seed: of weights and of the order of the data.  device, precision: as in
    batch_reenact.toml ("auto" is bfloat16 on a GPU, float32 on a CPU).  compile: torch.compile the heavy networks (pays off in long
    runs).  graphs: record each network as a CUDA graph (see training.graphs).  channels_last: memory layout that
    GPUs convolve faster in.  save, log, picture, validate: every how many steps; 0 = only at the end (log: never).  bad_steps: how many
    steps in a row may give a loss that is no number before the run is ended.
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

    engine: "process" (this one), "ray" (Ray Train, DDP) or "torchrun" (the processes that torchrun started, DDP).  workers: for Ray, one
    a GPU or CPU processes.  address: of a Ray cluster, "" starts one here.  storage: folder or store Ray keeps checkpoints in, which
    all machines can reach; "" is run.folder.
    """

    engine: Literal["process", "ray", "torchrun"] = "process"
    workers: int = attrs.field(default=1, validator=gt(0))
    address: str = ""
    storage: str = ""


@attrs.frozen
class TrainPipeline:
    """A whole file of this kind. ``weights`` names the files of frozen networks, such as ``vgg16_features``."""

    kind: str = attrs.field(default="train", validator=[instance_of(str), in_(("train",))])
    description: str = ""
    data: Data = attrs.field(factory=Data)
    model: Model = attrs.field(factory=Model)
    losses: Losses = attrs.field(factory=Losses)
    schedule: Schedule = attrs.field(factory=Schedule)
    optimiser: Optimiser = attrs.field(factory=Optimiser)
    run: Run = attrs.field(factory=Run)
    scale: Scale = attrs.field(factory=Scale)
    weights: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen
class TrainPlan:
    """A checked pipeline. ``origin`` is the TOML file."""

    pipeline: TrainPipeline
    origin: Path
