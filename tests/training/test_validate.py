"""Figures of held-out people: of results known by heart, with a landmark network that reads the picture."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_training import SIZES, clips
from torch import Tensor

from pipelines.training import validate
from pipelines.training.validate import FRAMES_A_CLIP, picture_of, reconstruction_figures
from plugins.mmfa.model import MMFAModel

CPU = torch.device("cpu")


@pytest.fixture
def model() -> MMFAModel:
    torch.manual_seed(0)
    return MMFAModel(SIZES)


def brightness(region: Tensor) -> Tensor:
    """A face whose mouth is open by the picture's brightness, its eyes by its redness; 100 pixels high."""
    points = torch.zeros(len(region), 478, 3)
    points[:, 10, 1], points[:, 152, 1] = -50, 50
    points[:, 14, 1] = 20 * region.mean((1, 2, 3))
    points[:, [145, 374], 1] = 20 * region[:, :1].mean((2, 3))
    return points


def returned(monkeypatch: pytest.MonkeyPatch, what: Any) -> None:
    monkeypatch.setattr(validate, "reconstruct", what)


def test_the_driving_frame_itself_scores_best(model: MMFAModel, monkeypatch: pytest.MonkeyPatch) -> None:
    returned(monkeypatch, lambda model, images, _, __: images[1:])
    figures = reconstruction_figures(model, clips((12, 1, 9)), CPU, brightness)
    assert figures["psnr"] == 100
    assert figures["landmark_distance"] == 0 < figures["landmark_distance_repeated"]
    assert figures["mouth"] == pytest.approx(1, abs=1e-4)
    assert figures["eyes"] == pytest.approx(1, abs=1e-4)


def test_the_repeated_source_has_no_correlation(model: MMFAModel, monkeypatch: pytest.MonkeyPatch) -> None:
    returned(monkeypatch, lambda model, images, _, __: images[:1].expand_as(images[1:]))
    figures = reconstruction_figures(model, clips((12, 9)), CPU, brightness)
    assert figures["psnr"] == pytest.approx(figures["psnr_repeated"])
    assert figures["landmark_distance"] == pytest.approx(figures["landmark_distance_repeated"])
    assert abs(figures["mouth"]) < 0.01
    opposite = lambda model, images, _, __: 1 - images[1:]  # noqa: E731
    returned(monkeypatch, opposite)
    assert reconstruction_figures(model, clips((12, 9)), CPU, brightness)["mouth"] == pytest.approx(-1, abs=1e-3)


def test_distances_are_in_pixels_of_the_crop(model: MMFAModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The region has side 40 of the crop and 256 of its own: 6.4 pixels there are one here."""
    returned(monkeypatch, lambda model, images, _, __: images[1:] * 0)

    def dark(region: Tensor) -> Tensor:
        return 6.4 * (region.amax((1, 2, 3)) == 0).float()[:, None, None].expand(-1, 478, 2)

    assert reconstruction_figures(model, clips((12,)), CPU, dark)["landmark_distance"] == pytest.approx(1, rel=1e-4)


def test_without_clips_there_are_no_figures_and_a_real_model_gives_some(model: MMFAModel) -> None:
    assert reconstruction_figures(model, clips((1, 1)), CPU, brightness) == {}
    figures = reconstruction_figures(model, clips((FRAMES_A_CLIP,)), CPU)
    assert set(figures) == {"psnr", "psnr_repeated"}
    assert picture_of(model, clips((4, 1, 5)), CPU).shape[0] == 3
