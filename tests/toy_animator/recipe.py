"""How a system of one's own learns: points with Jacobians, and a small generator (FOMM in brief)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import torch
from attrs.validators import ge
from torch import Tensor, nn
from torch.nn import functional

from mmfa_components.errors import ConfigError, did_you_mean
from mmfa_components.geometry.grid import grid_points
from mmfa_components.kinds import Context
from mmfa_components.losses.equivariance import ImageTransform, equivariance_loss
from mmfa_components.training.clips import Pairs
from mmfa_components.training.labels import IMAGE, Label, Rows, mesh_points
from mmfa_components.training.options import Model, TrainingOptions
from mmfa_components.training.recipe import Moment, TrainingRecipe
from mmfa_components.weights import WeightsFile

SIDES = {"tiny": 64, "small": 128}
"""Presets: side of the crops."""
POINTS, WIDTH = 4, 16
LABELS = {"mouth": mesh_points((61, 291), (1, 0))}
"""The corners of the mouth; in a mirrored picture each becomes the other."""


@attrs.frozen
class WarpModel(Model):
    """preset: "tiny" or "small"."""

    preset: str = "tiny"


@attrs.frozen
class WarpLosses:
    """Weights; 0 leaves a loss out.

    reconstruction: of the driving frame.  equivariance: points of a warped picture (FOMM, eq. 11).
    mouth: the first two points are led to the corners of the mouth.
    """

    reconstruction: float = attrs.field(default=10.0, validator=ge(0.0))
    equivariance: float = attrs.field(default=1.0, validator=ge(0.0))
    mouth: float = attrs.field(default=1.0, validator=ge(0.0))


@attrs.frozen
class WarpOptions(TrainingOptions):
    """The tables of a training file: [model], [losses], [schedule]."""

    model: WarpModel = attrs.field(factory=WarpModel)
    losses: WarpLosses = attrs.field(factory=WarpLosses)


class WarpNetworks(nn.Module):
    """All networks: points and Jacobians of a picture, and what repairs a warped picture."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(3, WIDTH, 7, stride=4, padding=3),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(),
            nn.Conv2d(WIDTH, 5 * POINTS, 7, padding=3),
        )
        self.repair = nn.Sequential(
            nn.Conv2d(3, WIDTH, 3, padding=1), nn.ReLU(), nn.Conv2d(WIDTH, 3, 3, padding=1)
        )

    def motion(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Points (N, K, 2) in [-1, 1] and Jacobians (N, K, 2, 2) of images (N, 3, S, S)."""
        seen = self.look(image).float()
        heat = seen[:, :POINTS].flatten(2).softmax(-1)  # (N, K, S/4 * S/4)
        size = (seen.shape[-2], seen.shape[-1])
        grid = grid_points(size, image.device).flatten(0, 1)
        local = seen[:, POINTS:].unflatten(1, (POINTS, 4)).flatten(3)  # (N, K, 4, S/4 * S/4)
        jacobians = (local * heat[:, :, None]).sum(-1).unflatten(-1, (2, 2))
        return heat @ grid, jacobians + torch.eye(2, device=image.device)

    def forward(self, source: Tensor, motion: Any, driving: Any) -> Tensor:
        """The source (N, 3, S, S) in the driving motion, in [0, 1]."""
        side = source.shape[-1]
        z = grid_points((side, side), source.device)
        away = z[None, None] - driving[0][:, :, None, None]  # (N, K, S, S, 2)
        local = motion[1] @ torch.linalg.inv(driving[1])
        moved = motion[0][:, :, None, None] + (local[:, :, None, None] @ away[..., None])[..., 0]
        weight = torch.softmax(-away.square().sum(-1) / 0.1, dim=1)
        where = (weight[..., None] * moved).sum(1)
        warped = functional.grid_sample(source, where, align_corners=False)
        return (warped + self.repair(warped)).clamp(0, 1)


class WarpObjective(nn.Module):
    """Pairs to losses."""

    def __init__(self, networks: WarpNetworks, losses: WarpLosses) -> None:
        super().__init__()
        self.networks, self.losses = networks, losses

    def forward(
        self, pairs: Pairs, transform: ImageTransform, moment: Moment, critic: None = None
    ) -> tuple[Tensor, dict[str, Tensor], None]:
        """Weighted sum, losses by name, and nothing for a critic, as there is none."""
        source, driving = pairs.source[IMAGE], pairs.driving[IMAGE]
        before, after = self.networks.motion(source), self.networks.motion(driving)
        warped = self.networks.motion(transform.warp_image(driving))
        result = self.networks(source, before, after)
        losses = {
            "reconstruction": (result - driving).abs().mean(),
            "equivariance": equivariance_loss(after[0], warped[0], transform),
            "mouth": (after[0][:, :2] - pairs.driving["mouth"]).abs().mean(),
        }
        total = torch.stack([getattr(self.losses, k) * v for k, v in losses.items()]).sum()
        return total, losses, None


class WarpRecipe(TrainingRecipe):
    """How it learns."""

    def __init__(self, options: WarpOptions, context: Context) -> None:
        preset = options.model.preset
        if preset not in SIDES:
            fix = did_you_mean(preset, SIDES)
            raise ConfigError(f"no preset is called {preset!r}", where="preset", fix=fix)
        self.options = options

    @property
    def weights_file(self) -> WeightsFile:
        """What training makes and starts from."""
        name = f"warp_{self.options.model.preset}"
        return WeightsFile(name, Path(f"{name}.safetensors"), f"warp/{self.options.model.preset}/1")

    @property
    def weights(self) -> Mapping[str, float]:
        """Weights of the losses."""
        return attrs.asdict(self.options.losses)

    @property
    def side(self) -> int:
        """Side of the crops."""
        return SIDES[self.options.model.preset]

    @property
    def labels(self) -> Mapping[str, Label]:
        """What it is told of a frame beside its picture."""
        return LABELS

    def networks(self) -> WarpNetworks:
        """Fresh networks."""
        return WarpNetworks()

    def objective(self, networks: nn.Module, judges: None) -> WarpObjective:
        """The losses."""
        assert isinstance(networks, WarpNetworks)
        return WarpObjective(networks, self.options.losses)

    def draw(self, count: int, generator: torch.Generator, device: torch.device) -> ImageTransform:
        """The warps that the points have to follow."""
        return ImageTransform.random(count, device, generator)

    def render(self, networks: nn.Module, rows: Rows) -> Tensor:
        """For figures and pictures of held-out people: later frames out of the first."""
        assert isinstance(networks, WarpNetworks)
        points, jacobians = networks.motion(rows[IMAGE])
        count = len(points) - 1
        first = (points[:1].expand(count, -1, -1), jacobians[:1].expand(count, -1, -1, -1))
        source = rows[IMAGE][:1].expand(count, -1, -1, -1)
        result: Tensor = networks(source, first, (points[1:], jacobians[1:]))
        return result


recipe = WarpRecipe
