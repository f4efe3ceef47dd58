"""Faces for the recognition loss are aligned by the guide's landmarks."""

from __future__ import annotations

import torch

from mmfa_components.geometry.squares import crop_squares
from mmfa_components.losses.guide import GUIDE
from mmfa_components.losses.recognition import recognition_loss
from plugins.mmfa.training.judges import PLACES, SEEN, Recogniser
from plugins.packaged.sface import FIVE, SIDE, TEMPLATE, SFace, SFaceNetwork, similarity_squares

SHARP = 256


def guide_of(points: torch.Tensor) -> torch.Tensor:
    """Landmarks of the guide (1, G, 2) in [-1, 1], of five points (5, 2) in pixels; the others anywhere."""
    guide = torch.full((1, len(GUIDE), 2), 0.9)
    for place, point in zip(PLACES, SEEN, strict=True):
        guide[0, place] = points[point] / (SHARP / 2) - 1
    return guide


def test_pupils_and_mouth_corners_are_found_in_the_guide() -> None:
    assert SEEN == (0, 1, 3, 4)
    assert [GUIDE[place] for place in PLACES] == [FIVE[point][0] for point in SEEN]


def test_faces_are_cut_out_as_the_metric_does() -> None:
    five = 1.4 * (torch.tensor(TEMPLATE) + 0.5) + torch.tensor([40.0, 30.0])
    mesh = torch.zeros(1, 478, 3)
    for index, point in zip(FIVE, five, strict=True):
        mesh[0, list(index), :2] = point
    coarse = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    image = torch.nn.functional.interpolate(coarse, size=(SHARP, SHARP), mode="bilinear")
    wanted = crop_squares(image, similarity_squares(mesh), SIDE)
    torch.testing.assert_close(Recogniser.align(image, guide_of(five)), wanted, rtol=0, atol=1e-3)


def test_the_gradient_reaches_the_picture_where_the_face_is() -> None:
    torch.manual_seed(0)
    five = 1.2 * (torch.tensor(TEMPLATE) + 0.5) + torch.tensor([60.0, 50.0])
    recogniser = Recogniser(SFace(SFaceNetwork().eval()).embed)
    image, target = torch.rand(1, 3, SHARP, SHARP, requires_grad=True), torch.rand(1, 3, SHARP, SHARP)
    guide = guide_of(five)
    recognition_loss(recogniser.embed, recogniser.align(image, guide), recogniser.align(target, guide)).backward()
    assert image.grad is not None
    assert float(image.grad[..., 60:180, 70:190].abs().sum()) > 0
    assert float(image.grad[..., :40, :].abs().sum()) == 0
