"""The perceptual loss of reconstructing systems: the whole picture, or a window of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mmfa_components.losses.equivariance import ImageTransform
from mmfa_components.training.clips import Pairs
from mmfa_components.training.recipe import Moment
from mmfa_components.training.reconstruction import Losses, Options, ReconstructionObjective


class Seeing(nn.Module):
    """Features are the picture itself; it notes the sizes of what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.sides: list[int] = []

    def forward(self, image: Tensor) -> list[Tensor]:
        self.sides.append(image.shape[-1])
        return [image]


class Objective(ReconstructionObjective):
    """Rebuilds nothing: only ``seen`` is asked."""

    def rebuild(self, pairs: Pairs, transform: ImageTransform) -> tuple[Tensor, dict[str, Tensor]]:
        raise NotImplementedError


def seen(window: int, step: int = 0) -> tuple[float, list[int]]:
    """The loss of two pictures that differ by a ramp, and the sides of what the network saw."""
    network = Seeing()
    objective = Objective(network, Options(losses=Losses(levels=2, window=window)))
    result = torch.zeros(1, 3, 32, 32)
    driving = torch.linspace(0, 1, 32).expand(1, 3, 32, 32)
    return float(objective.seen(result, driving, Moment(0, step))), network.sides


@pytest.mark.parametrize("window", [0, 32, 64])
def test_the_whole_picture_is_seen_without_a_window_or_by_one_as_large(window: int) -> None:
    loss, sides = seen(window)
    assert loss == pytest.approx(1.0)
    assert sides == [32, 32, 16, 16]


def test_a_window_is_seen_at_full_size_and_the_smaller_size_whole() -> None:
    loss, sides = seen(8)
    assert sorted(sides) == [8, 8, 16, 16]
    assert loss != pytest.approx(1.0)


def test_the_window_lies_elsewhere_at_another_step_and_at_the_same_place_at_the_same() -> None:
    assert seen(8, 1) == seen(8, 1)
    assert len({seen(8, step)[0] for step in range(8)}) > 3
