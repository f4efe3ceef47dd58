"""Which keypoints belong to which region, and deformations mixed by region."""

from __future__ import annotations

import pytest
import torch

from mmfa_components.errors import RecordError
from mmfa_components.geometry.regions import EYES, MOUTH, REACH, blend_regions, keypoint_regions
from mmfa_components.records import Deformation


def face(points: int = 478) -> torch.Tensor:
    """Landmarks of height 1: eyes at y = 0.3, mouth at y = 0.75, the rest along the middle."""
    found = torch.zeros(1, points, 2)
    found[..., 1] = torch.linspace(0, 1, points)
    found[:, list(EYES)] = torch.stack([torch.linspace(-0.25, 0.25, len(EYES)), torch.full((len(EYES),), 0.3)], -1)
    found[:, list(MOUTH)] = torch.stack([torch.linspace(-0.15, 0.15, len(MOUTH)), torch.full((len(MOUTH),), 0.75)], -1)
    return found


def test_keypoints_belong_to_what_they_lie_on() -> None:
    points = torch.tensor([[[0.25, 0.3], [0.15, 0.75], [0.0, 5.0], [0.25 + REACH, 0.3]]])
    eyes, mouth = keypoint_regions(points, face())
    torch.testing.assert_close(eyes[0, [0, 2, 3]], torch.tensor([1.0, 0.0, 0.5]), atol=5e-3, rtol=0)
    assert float(mouth[0, 1]) > 0.99
    assert float(mouth[0, 0]) < 0.01
    assert bool((eyes + mouth <= 1 + 1e-6).all())


def test_regions_do_not_depend_on_the_size_and_place_of_the_face() -> None:
    points = torch.rand(1, 20, 2, generator=torch.Generator().manual_seed(1))
    first, second = keypoint_regions(points, face()), keypoint_regions(3 * points + 5, 3 * face() + 5)
    torch.testing.assert_close(first[0], second[0], atol=1e-4, rtol=1e-4)


def test_contours_work_and_other_landmarks_are_refused() -> None:
    assert keypoint_regions(torch.rand(2, 5, 2), torch.rand(2, 68, 2))[0].shape == (2, 5)
    with pytest.raises(RecordError, match="8 landmarks"):
        keypoint_regions(torch.rand(1, 5, 2), torch.rand(1, 8, 2))


def test_each_region_moves_by_its_own_deformation() -> None:
    parts = [Deformation(torch.full((4, 3, 3), v)) for v in (1.0, 2.0, 3.0)]
    regions = (torch.tensor([[1.0, 0.0, 0.25]]), torch.tensor([[0.0, 1.0, 0.0]]))
    mixed = blend_regions(parts[0], parts[1], parts[2], regions).delta
    assert mixed[:, 0].unique().tolist() == [2.0]
    assert mixed[:, 1].unique().tolist() == [3.0]
    assert mixed[:, 2].unique().tolist() == [1.25]
    same = blend_regions(parts[0], parts[0], parts[0], regions).delta
    assert torch.equal(same, parts[0].delta)
