"""Figures of held-out people: of results known by heart, with a landmark network that reads the picture."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tiny_training import SIZES, clips
from torch import Tensor

from mmfa_components.registry import load_registry
from mmfa_components.training import held_out
from mmfa_components.training.clips import FaceClips
from mmfa_components.training.held_out import FRAMES_A_CLIP
from mmfa_components.training.labels import Rows
from plugins.mmfa import presets
from plugins.mmfa.training.options import Model, Options
from plugins.mmfa.training.recipe import LABELS, MMFARecipe

CPU = torch.device("cpu")
Landmarks = Callable[[Tensor], Tensor]


def figures_of(result: Landmarks, made: FaceClips, landmarks: Landmarks | None = None) -> dict[str, float]:
    """Figures of a system whose results are a function of the frames (1 + N, 3, S, S)."""

    def rebuild(rows: Rows) -> Tensor:
        return result(rows["image"])

    return held_out.reconstruction_figures(rebuild, made, LABELS, CPU, landmarks)


def brightness(region: Tensor) -> Tensor:
    """A face whose mouth is open by the picture's brightness, its eyes by its redness; 100 pixels high."""
    points = torch.zeros(len(region), 478, 3)
    points[:, 10, 1], points[:, 152, 1] = -50, 50
    points[:, 14, 1] = 20 * region.mean((1, 2, 3))
    points[:, [145, 374], 1] = 20 * region[:, :1].mean((2, 3))
    return points


def test_the_driving_frame_itself_scores_best() -> None:
    figures = figures_of(lambda images: images[1:], clips((12, 1, 9)), brightness)
    assert figures["psnr"] == 100
    assert figures["landmark_distance"] == 0 < figures["landmark_distance_repeated"]
    assert figures["mouth"] == pytest.approx(1, abs=1e-4)
    assert figures["eyes"] == pytest.approx(1, abs=1e-4)


def test_the_repeated_source_has_no_correlation() -> None:
    figures = figures_of(lambda images: images[:1].expand_as(images[1:]), clips((12, 9)), brightness)
    assert figures["psnr"] == pytest.approx(figures["psnr_repeated"])
    assert figures["landmark_distance"] == pytest.approx(figures["landmark_distance_repeated"])
    assert abs(figures["mouth"]) < 0.01
    opposite = figures_of(lambda images: 1 - images[1:], clips((12, 9)), brightness)
    assert opposite["mouth"] == pytest.approx(-1, abs=1e-3)


def test_distances_are_in_pixels_of_the_crop() -> None:
    """The region has side 40 of the crop and 256 of its own: 6.4 pixels there are one here."""

    def dark(region: Tensor) -> Tensor:
        return 6.4 * (region.amax((1, 2, 3)) == 0).float()[:, None, None].expand(-1, 478, 2)

    figures = figures_of(lambda images: images[1:] * 0, clips((12,)), dark)
    assert figures["landmark_distance"] == pytest.approx(1, rel=1e-4)


def test_without_clips_there_are_no_figures_and_a_real_model_gives_some(monkeypatch: pytest.MonkeyPatch) -> None:
    assert figures_of(lambda images: images[1:], clips((1, 1)), brightness) == {}
    monkeypatch.setitem(presets.PRESETS, "tiny", presets.preset_of(SIZES))
    torch.manual_seed(0)
    recipe = MMFARecipe(Options(model=Model(preset="tiny")), load_registry().context())
    model = recipe.networks()
    from tiny_training import judges

    figures = recipe.figures(model, clips((FRAMES_A_CLIP,)), judges(), CPU)
    assert set(figures) == {"psnr", "psnr_repeated"}
    picture = recipe.picture(model, clips((4, 1, 5)), CPU)
    assert picture is not None
    assert picture.shape[0] == 3
