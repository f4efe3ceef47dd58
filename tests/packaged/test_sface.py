"""SFace: alignment to the template, embeddings, and the similarity of identities as a metric."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mmfa_components import records as r
from mmfa_components.errors import PluginError, RecordError, WeightsError
from mmfa_components.folders import WEIGHTS_VARIABLE
from mmfa_components.geometry.squares import to_crop
from mmfa_components.registry import load_registry
from plugins.packaged.csim import IdentitySimilarity
from plugins.packaged.sface import FIVE, SIDE, TEMPLATE, SFace, SFaceNetwork, similarity_squares, squares_by_template


def mesh(five: Tensor) -> Tensor:
    """Mesh points (1, 478, 3) whose five points are these (5, 2)."""
    points = torch.full((1, 478, 3), -1.0)
    for index, place in zip(FIVE, five, strict=True):
        points[0, list(index), :2] = place
    return points


def moved(angle: float, scale: float, shift: tuple[float, float]) -> Tensor:
    """The template (5, 2) turned, scaled and shifted, as pixel centres."""
    template = torch.tensor(TEMPLATE) + 0.5
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return scale * template @ turn.T + torch.tensor(shift)


@pytest.mark.parametrize(("angle", "scale", "shift"), [(0, 1, (0, 0)), (0.4, 2.5, (30, 80)), (-2.0, 0.3, (200, 10))])
def test_the_square_undoes_turn_scale_and_shift(angle: float, scale: float, shift: tuple[float, float]) -> None:
    points = mesh(moved(angle, scale, shift))
    square = similarity_squares(points)
    assert float(square[0, 2]) == pytest.approx(SIDE * scale, rel=1e-4)
    assert float(square[0, 3]) == pytest.approx(angle, abs=1e-4)
    five = to_crop(points, square, SIDE)[0, [i[0] for i in FIVE], :2]
    torch.testing.assert_close(five, torch.tensor(TEMPLATE) + 0.5, rtol=0, atol=2e-3)


def test_the_square_is_the_least_squares_one() -> None:
    five = moved(0.3, 1.5, (20, 30)) + 3 * torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    points, wanted = mesh(five), torch.tensor(TEMPLATE) + 0.5

    def error(square: Tensor) -> float:
        return float((to_crop(points, square, SIDE)[0, [i[0] for i in FIVE], :2] - wanted).square().sum())

    square = similarity_squares(points)
    changes = [torch.tensor([[1.0, 0, 0, 0]]), torch.tensor([[0, 1.0, 0, 0]]), torch.tensor([[0, 0, 2.0, 0]]), torch.tensor([[0, 0, 0, 0.02]])]
    assert all(error(square + sign * change) > error(square) for change in changes for sign in (1, -1))


def test_some_of_the_places_say_as_much_when_they_fit() -> None:
    five = moved(0.3, 1.5, (20, 30))
    torch.testing.assert_close(squares_by_template(five[None, [0, 1, 3, 4]], (0, 1, 3, 4)), similarity_squares(mesh(five)), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(squares_by_template(five[None, [1, 3]], (1, 3)), similarity_squares(mesh(five)), rtol=1e-4, atol=1e-3)


def test_embeddings_are_unit_vectors_with_gradients_and_count_alone() -> None:
    torch.manual_seed(0)
    sface = SFace(SFaceNetwork().eval())
    crops = torch.rand(2, 3, SIDE, SIDE, requires_grad=True)
    vectors = sface.embed(crops)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(sface.embed(crops[1:]), vectors[1:], rtol=1e-4, atol=1e-5)
    vectors[0, 0].backward()
    assert crops.grad is not None
    assert float(crops.grad[0].abs().sum()) > 0
    assert float(crops.grad[1].abs().sum()) == 0
    assert [f.shape[1] for f in SFaceNetwork().features(crops)] == [64, 128, 256, 512, 1024]
    assert sface.align(torch.rand(0, 3, 8, 8), torch.zeros(0, 478, 3)).shape == (0, 3, SIDE, SIDE)


class Faces:
    """A detector that finds two faces in every picture that is not black, best first."""

    def __call__(self, frames: r.Frames) -> r.FaceDetections:
        image = torch.tensor([i for i in range(len(frames.rgb)) if float(frames.rgb[i].max()) > 0 for _ in range(2)], dtype=torch.long)
        count = len(image)
        scores = torch.tensor([0.9, 0.6]).repeat(count // 2)
        points = torch.tensor([[[40.0, 50], [70, 50], [55, 65], [55, 80], [30, 55], [80, 55]]]).repeat(count, 1, 1)
        points[1::2] += 500  # the second face is elsewhere: it must not be the one that counts
        return r.FaceDetections(image, torch.zeros(count, 4), scores, points)


class Mesh:
    """A landmark detector that finds the template, unless the picture is dark."""

    def __call__(self, frames: r.Frames, regions: r.FaceRegions) -> r.MeshLandmarks:
        assert bool((regions.squares[:, :2] < 300).all()), "the weaker face was taken"
        points = mesh(moved(0, 1, (0, 0))).repeat(len(frames.rgb), 1, 1)
        return r.MeshLandmarks(points, (frames.rgb.amax((1, 2, 3)) > 0.3).float())


def test_similarity_is_one_for_equal_and_unknown_without_a_face() -> None:
    torch.manual_seed(0)
    network = SFaceNetwork().eval()
    for layer in (*network.convs, network.embedding):  # no biases, so that the picture decides
        layer.bias.data.zero_()
    metric = IdentitySimilarity(SFace(network), Faces(), Mesh())
    one, other = torch.rand(2, 1, 3, 112, 112)
    black, dark = torch.zeros(1, 3, 112, 112), torch.full((1, 3, 112, 112), 0.2)
    results = r.Frames(torch.cat([one, one, black, dark]))
    figures = metric(results, r.Frames(torch.cat([one, other, one, one])))
    assert float(figures[0]) == pytest.approx(1, abs=1e-5)
    assert float(figures[1]) < 0.999
    assert figures[2:].isnan().all()
    assert metric(r.Frames(black), r.Frames(one)).isnan().all()
    with pytest.raises(RecordError, match="got 4 and 1"):
        metric(results, r.Frames(one))


def test_missing_weights_and_wrong_landmarks_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path))
    registry = load_registry()
    context = registry.context()
    for name, weights in (("csim", "sface"), ("lpips", "lpips_alex")):
        with pytest.raises(WeightsError, match=f"mmfa plugins fetch {weights}"):
            registry.build("metric", name, None, context)
    with pytest.raises(PluginError, match="gives no mesh landmarks"):
        registry.build("metric", "csim", {"landmark_detector": "face_alignment"}, context)
