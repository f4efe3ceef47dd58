"""Small networks, clips and pipelines of MMFA to test training with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import torch
from torch import nn

from cache import CacheKey, RecordCache
from mmfa_components.geometry.rotations import euler_to_matrix
from mmfa_components.geometry.shape import SHAPE_POINTS
from mmfa_components.losses.guide import GUIDE
from mmfa_components.records import FaceFrames
from mmfa_components.registry import load_registry
from mmfa_components.training.clips import FaceClips
from pipelines.datasets.index import STORE, ClipEntry, DatasetIndex
from pipelines.training.group import Group
from pipelines.training.pairs import PairSource
from pipelines.training.schema import Data, Optimiser, Run, TrainPipeline, train_schema
from pipelines.training.systems import recipe_of
from pipelines.training.trainer import ALONE, Trainer
from plugins.mmfa import presets
from plugins.mmfa.presets import Sizes
from plugins.mmfa.training.judges import Judges
from plugins.mmfa.training.options import Losses, Model, Options, Schedule
from plugins.mmfa.training.recipe import LABELS

SIDE = 64
SIZES = Sizes(
    "tiny", image=SIDE, keypoints=4, expression=8, volume_channels=4, volume_depth=2, appearance_channels=(4, 6, 8), appearance_blocks=1,
    keypoint_side=32, keypoint_channels=(4, 6, 8), keypoint_volume=4, keypoint_depth=2, keypoint_ups=(4,), affine_side=32,
    affine_channels=(4, 8, 8), expression_channels=(4, 8, 8), expression_hidden=(16,), motion_stem=6, motion_channels=(6, 8),
    generator_channels=(8, 6, 4), generator_blocks=(1, 1, 1), discriminator_channels=(4, 8, 8, 8), latent=4, vae_hidden=(16, 16),
)  # fmt: skip
PIPELINE = train_schema(Options)


def use_tiny_preset() -> None:
    """Make the preset "tiny" known in this process."""
    presets.PRESETS["tiny"] = presets.preset_of(SIZES)


class Pixels(nn.Module):
    """A perceptual network whose only feature is the picture."""

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        return [image]


def judges(**changes: Any) -> Judges:
    """Frozen networks that need no weights."""
    return Judges(**{"perceptual": Pixels(), **changes})


def parts(frames: tuple[int, ...], seed: int = 5) -> list[dict[str, torch.Tensor]]:
    """Clips of noise with random yaw; each clip its own colour, so that they can be told apart."""
    g = torch.Generator().manual_seed(seed)
    made = []
    for count in frames:
        yaw = 0.5 * torch.randn(count, generator=g)
        rgb = torch.randint(0, 100, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=g)
        rgb += torch.randint(0, 150, (1, 3, 1, 1), dtype=torch.uint8, generator=g)
        rotation = euler_to_matrix(yaw, torch.zeros(count), torch.zeros(count))
        made.append({"image": rgb, "rotation": rotation, "region": torch.tensor([[30.0, 32, 40, 0.1]]).expand(count, 4).clone(),
                     "guide": 20 + 24 * torch.rand(count, len(GUIDE), 2, generator=g),
                     "place": 20 + 24 * torch.rand(count, 3, generator=g),
                     "shape": torch.randn(count, len(SHAPE_POINTS), 3, generator=g)})  # fmt: skip
    return made


def clips(frames: tuple[int, ...] = (6, 1, 4)) -> FaceClips:
    """Clips in memory."""
    return FaceClips.join(parts(frames))


def source(made: FaceClips | None = None, data: Data | None = None) -> PairSource:
    """Pairs of clips in memory."""
    return PairSource(clips() if made is None else made, LABELS, data or Data())


def write_dataset(folder: Path, train: tuple[int, ...] = (6, 1, 4), val: tuple[int, ...] = (5,)) -> Path:
    """A data set on disk, as prepare_dataset leaves it."""
    store, index = RecordCache(folder / STORE), DatasetIndex(SIDE)
    for split, frames in (("train", train), ("val", val)):
        for number, part in enumerate(parts(frames)):
            count, name = len(part["image"]), f"{split}{number}"
            points = torch.rand(count, 478, 3, generator=torch.Generator().manual_seed(number)) * 20 + 20
            record = FaceFrames(part["image"], part["rotation"], points, torch.zeros(count, 4), torch.arange(count))
            key = CacheKey.of(FaceFrames, [], {}, name, name)
            store.put(key, record)
            index.clips.append(ClipEntry(name, name, split, count, 100.0, key.digest))
    index.write(folder)
    return folder


def pipeline(folder: Path, data: Path | None = None, **changes: Any) -> TrainPipeline:
    """A short run of the tiny preset; ``changes``: fields of Run, or whole tables."""
    tables = {k: changes.pop(k) for k in list(changes) if k in ("losses", "schedule", "optimiser", "data", "scale", "model")}
    run = Run(**{"folder": str(folder), "steps": 8, "batch": 4, "log": 1, "save": 4, "picture": 0, "tensorboard": False, **changes})
    made = PIPELINE(
        data=Data(folder=str(data or folder)), run=run, losses=Losses(landmarks=0.0), optimiser=Optimiser(rate=1e-3),
        schedule=Schedule(adversarial_from=2, landmarks_from=0, landmarks_ramp=2), model=Model(preset="tiny"),
    )  # fmt: skip
    return attrs.evolve(made, **tables)


def trainer(made: TrainPipeline, frozen: Judges | None = None, group: Group = ALONE) -> Trainer:
    """A trainer of MMFA on the CPU."""
    use_tiny_preset()
    recipe = recipe_of(made, load_registry())
    return Trainer(recipe, made, frozen or judges(), torch.device("cpu"), group)
