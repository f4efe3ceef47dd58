"""Train MMFA on a prepared data set: ``python -m pipelines.training.train DATASET OUT --vgg VGG.safetensors [--minutes 9] [--set a=b]``.

DATASET is a folder that ``pipelines.training.prepare`` wrote. A run that finds ``OUT/checkpoint.pt`` goes on from it; ``--start`` starts a
new run from a weights file. Several graphics cards, Ray and resuming to the bit are the business of the training pipeline to come.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from mmfa_components.errors import ConfigError, MMFAError, did_you_mean
from mmfa_components.geometry.squares import crop_squares
from mmfa_components.losses.landmarks import landmark_loss
from mmfa_components.networks.blocks import channels_last
from mmfa_components.networks.presets import preset
from mmfa_components.weights import read_weights
from pipelines.training.checkpoint import architecture
from pipelines.training.convert_vgg import load_vgg
from pipelines.training.dataset import FaceClips
from pipelines.training.loop import Trainer, train
from pipelines.training.settings import LossWeights, TrainSettings
from pipelines.training.step import LandmarkLoss
from pipelines.training.validate import validate


def settings_with(assignments: list[str]) -> TrainSettings:
    """Default settings changed by ``name=value`` texts (loss weights as ``weights.name``). Raises ConfigError for unknown names."""
    changes: dict[str, Any] = {}
    weights: dict[str, Any] = {}
    for text in assignments:
        name, _, value = text.partition("=")
        part, owner = (weights, LossWeights()) if name.startswith("weights.") else (changes, TrainSettings())
        field = name.removeprefix("weights.")
        known = [f.name for f in attrs.fields(type(owner)) if f.name != "weights"]
        if field not in known:
            raise ConfigError(f"no setting is called {name!r}", where="--set", fix=did_you_mean(field, known))
        old = getattr(owner, field)
        try:
            part[field] = value.lower() in ("1", "true", "yes") if isinstance(old, bool) else type(old)(value)
        except ValueError as error:
            raise ConfigError(f"{value!r} is no {type(old).__name__}", where=f"--set {name}") from error
    return TrainSettings(**changes, weights=LossWeights(**weights))


def make_landmark_loss(network: Callable[[Tensor], Tensor], side: int = 256) -> LandmarkLoss:
    """The landmark loss on the driving image's face region, in float32. ``network``: region (N, 3, side, side) -> points in its pixels."""

    def loss(result: Tensor, driving: Tensor, region: Tensor) -> Tensor:
        with torch.autocast(result.device.type, enabled=False):
            return landmark_loss(
                network, crop_squares(result.float(), region, side), crop_squares(driving.float(), region, side)
            )

    return loss


def run(
    clips: FaceClips,
    held_out: FaceClips,
    folder: Path,
    vgg: nn.Module,
    settings: TrainSettings,
    *,
    preset_name: str = "base",
    start: Path | None = None,
    landmark_network: Callable[[Tensor], Tensor] | None = None,
    device: torch.device | None = None,
) -> Trainer:
    """Train and validate; everything lands in ``folder``."""
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = device.type == "cuda"
    sizes = preset(preset_name)
    trainer = Trainer(sizes, settings, device)
    if (folder / "checkpoint.pt").exists():
        trainer.restore(folder / "checkpoint.pt")
    elif start:
        trainer.start_from(read_weights(start, architecture(sizes)), str(start))
    loss = make_landmark_loss(landmark_network) if landmark_network and settings.weights.landmarks else None
    vgg = channels_last(vgg.to(device))
    train(trainer, clips.to(device), vgg, folder, loss)
    figures = validate(trainer.averaged, held_out.to(device), folder / "val.png")
    print("step", trainer.step, "samples", trainer.samples, *(f"{k} {v:.4f}" for k, v in figures.items()))
    return trainer


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--vgg", type=Path, required=True, help="made by pipelines.training.convert_vgg")
    parser.add_argument("--preset", default="base")
    parser.add_argument("--start", type=Path, help="weights file to start a new run from")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting, see settings.py")
    arguments = parser.parse_args()
    try:
        settings = settings_with(arguments.set)
        clips, held_out = (FaceClips.load(arguments.dataset, split) for split in ("train", "val"))
        network = _landmark_network() if settings.weights.landmarks else None
        run(
            clips, held_out, arguments.out, load_vgg(arguments.vgg), settings,
            preset_name=arguments.preset, start=arguments.start, landmark_network=network,
        )  # fmt: skip
    except MMFAError as error:
        parser.exit(2, f"{error}\n")
    return 0


def _landmark_network() -> Callable[[Tensor], Tensor]:
    from mmfa_components.registry import load_registry

    registry = load_registry()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    detector = registry.build("landmark_detector", "facemesh", None, registry.context(device))
    network: Callable[[Tensor], Tensor] = detector.region_points
    return network


if __name__ == "__main__":
    raise SystemExit(main())
