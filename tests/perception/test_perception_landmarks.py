"""Landmarks and rotation: batches, gradients, dtypes, signs, in-plane rotation."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from mmfa_components.geometry.procrustes import procrustes
from mmfa_components.geometry.rotations import euler_to_matrix, geodesic_degrees, matrix_to_euler, rotate_in_plane
from mmfa_components.geometry.squares import crop_squares, region_of_detection, square_of_landmarks
from mmfa_components.records import FaceRegions, Frames, Landmarks

NOSE_TIP, FOREHEAD, CHIN, RIGHT_EYE, LEFT_EYE = 4, 10, 152, 33, 263
REGION = torch.tensor([[120.0, 112.0, 170.0, 0.0]])


def angles(yaw: float, pitch: float, roll: float) -> Tensor:
    return euler_to_matrix(*(torch.tensor([math.radians(a)]) for a in (yaw, pitch, roll)))


def posed(estimator: Any, matrix: Tensor) -> Landmarks:
    """The canonical face turned by ``matrix`` (1, 3, 3), as landmarks (z away from the viewer, as the mesh has it)."""
    points = torch.zeros(1, 478, 3)
    points[:, estimator.used] = 3 * estimator.canonical @ matrix.transpose(1, 2) + torch.tensor([100.0, 80.0, 0.0])
    points[..., 2] *= -1
    return Landmarks(points, torch.ones(1))


def test_points_lie_on_the_face(build: Any, head: Tensor) -> None:
    found = build("landmark_detector")(Frames(head), FaceRegions(REGION))
    assert found.points.shape == (1, 478, 3)
    assert found.presence.item() > 0.99
    p = found.points[0]
    assert p[RIGHT_EYE, 0] < p[NOSE_TIP, 0] < p[LEFT_EYE, 0]
    assert p[FOREHEAD, 1] < p[NOSE_TIP, 1] < p[CHIN, 1]
    assert p[NOSE_TIP, 2] < p[[RIGHT_EYE, LEFT_EYE, CHIN], 2].min()  # nearer to the camera is smaller
    for iris, corners in ((468, (33, 133)), (473, (362, 263))):
        assert p[corners[0], 0] < p[iris, 0] < p[corners[1], 0]


def test_no_face_has_low_presence(build: Any) -> None:
    torch.manual_seed(0)
    found = build("landmark_detector", refine=0)(Frames(torch.rand(1, 3, 240, 240)), FaceRegions(REGION))
    assert found.presence.item() < 0.1


def test_batch_equals_single(build: Any, head: Tensor) -> None:
    detector = build("landmark_detector")
    two, regions = torch.cat([head, head.flip(3)]), REGION.repeat(2, 1)
    together = detector(Frames(two), FaceRegions(regions))
    alone = detector(Frames(two[1:]), FaceRegions(regions[1:]))
    assert (together.points[1] - alone.points[0]).abs().max() < 0.01
    assert (together.points[0] - together.points[1]).abs().max() > 1.0


def test_refinement_forgives_a_poor_region(build: Any, head: Tensor) -> None:
    poor = torch.tensor([[132.0, 122.0, 215.0, 0.25]])
    wanted = build("landmark_detector", refine=3)(Frames(head), FaceRegions(REGION)).points

    def error(refine: int) -> float:
        points = build("landmark_detector", refine=refine)(Frames(head), FaceRegions(poor)).points
        return float((points - wanted)[..., :2].norm(dim=-1).mean())

    assert error(1) < error(0)
    assert error(1) < 1.0


def test_gradient_reaches_the_image(build: Any, head: Tensor) -> None:
    detector, estimator = build("landmark_detector"), build("rotation_estimator")
    image = head.clone().requires_grad_()
    found = detector(Frames(image), FaceRegions(REGION))
    (by_points,) = torch.autograd.grad(found.points[0, CHIN].sum(), image, retain_graph=True)
    (by_rotation,) = torch.autograd.grad(estimator(found).matrix[0, 0, 2], image)
    for gradient in (by_points, by_rotation):
        assert torch.isfinite(gradient).all()
        assert gradient.abs().max() > 0
    region = crop_squares(head, REGION, 256).requires_grad_()
    (inside,) = torch.autograd.grad(detector.region_points(region)[0, CHIN].sum(), region)
    assert inside.abs().max() > 0


def test_gradient_agrees_with_a_small_step(build: Any, head: Tensor) -> None:
    detector = build("landmark_detector")
    region = crop_squares(head, REGION, 256).requires_grad_()

    def chin(x: Tensor) -> Tensor:
        return detector.region_points(x)[0, CHIN, 1]

    (gradient,) = torch.autograd.grad(chin(region), region)
    step = gradient / gradient.norm() * 0.004
    with torch.no_grad():
        change = (chin(region + step) - chin(region - step)) / 2
    assert change.item() == pytest.approx((gradient * step).sum().item(), rel=0.1)


def test_any_float_dtype_of_frames(build: Any, head: Tensor) -> None:
    plain = build("landmark_detector")(Frames(head), FaceRegions(REGION))
    half = build("landmark_detector")(Frames(head.bfloat16()), FaceRegions(REGION))
    assert half.points.dtype == torch.float32
    assert (half.points - plain.points)[..., :2].norm(dim=-1).mean() < 1.0


def test_canonical_face_is_frontal_and_upright(build: Any) -> None:
    estimator = build("rotation_estimator")
    where = {int(i): p for i, p in zip(estimator.used, estimator.canonical, strict=True)}
    assert where[RIGHT_EYE][0] < 0 < where[LEFT_EYE][0]
    assert where[NOSE_TIP][2] > where[RIGHT_EYE][2]  # towards the viewer
    assert where[RIGHT_EYE][1] < where[NOSE_TIP][1]  # y down
    assert geodesic_degrees(estimator(posed(estimator, torch.eye(3)[None])).matrix, torch.eye(3)) < 0.1


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(25.0, 0.0, 0.0), (0.0, 25.0, 0.0), (0.0, 0.0, 25.0), (-40.0, 20.0, -15.0)])
def test_signs(build: Any, yaw: float, pitch: float, roll: float) -> None:
    estimator = build("rotation_estimator")
    found = estimator(posed(estimator, angles(yaw, pitch, roll))).matrix
    nose = found[0, :2, 2]
    wanted = [-math.sin(math.radians(yaw)), -math.cos(math.radians(yaw)) * math.sin(math.radians(pitch))]
    assert nose.tolist() == pytest.approx(wanted, abs=1e-4)
    assert [a.rad2deg().item() for a in matrix_to_euler(found)] == pytest.approx([yaw, pitch, roll], abs=0.05)


def test_turning_landmarks_in_the_plane_turns_the_rotation_exactly(build: Any, head: Tensor) -> None:
    estimator = build("rotation_estimator")
    found = build("landmark_detector")(Frames(head), FaceRegions(REGION))
    angle = torch.tensor([0.7])
    turn = rotate_in_plane(torch.eye(3)[None], angle)
    turned = Landmarks(found.points @ turn.transpose(1, 2), found.presence)
    wanted = rotate_in_plane(estimator(found).matrix, angle)
    assert torch.allclose(estimator(turned).matrix, wanted, atol=1e-5)


def test_turning_the_picture_turns_the_rotation(build: Any, head: Tensor) -> None:
    def look(picture: Tensor) -> tuple[Tensor, Tensor]:
        frames = Frames(picture)
        faces = build("face_detector")(frames)
        found = build("landmark_detector")(frames, FaceRegions(region_of_detection(faces.points[:1])))
        return found.points[0, :, :2], build("rotation_estimator")(found).matrix

    points, rotation = look(head)
    turned_points, turned = look(head.rot90(-1, (2, 3)))  # clockwise
    wanted = torch.stack([240 - points[:, 1], points[:, 0]], 1)
    assert (turned_points - wanted).norm(dim=1).mean() < 1.0
    assert geodesic_degrees(turned, rotate_in_plane(rotation, torch.tensor([math.pi / 2]))) < 2.0


def test_mirrored_face_mirrors_yaw_and_roll(build: Any, head: Tensor) -> None:
    detector, estimator = build("landmark_detector"), build("rotation_estimator")
    regions = FaceRegions(torch.cat([REGION, REGION * torch.tensor([-1.0, 1, 1, 1]) + torch.tensor([240.0, 0, 0, 0])]))
    yaw, pitch, roll = matrix_to_euler(estimator(detector(Frames(torch.cat([head, head.flip(3)])), regions)).matrix)
    assert abs(yaw.sum().rad2deg()) < 3
    assert abs(roll.sum().rad2deg()) < 2
    assert abs((pitch[0] - pitch[1]).rad2deg()) < 3


def test_region_and_landmark_square_agree(build: Any, head: Tensor) -> None:
    frames = Frames(head)
    first = region_of_detection(build("face_detector")(frames).points[:1])[0]
    second = square_of_landmarks(build("landmark_detector")(frames, FaceRegions(first[None])).points, 2 / 3)[0]
    assert (first - second)[:2].norm() < 0.15 * second[2]
    assert 0.75 < first[2] / second[2] < 1.3
    assert abs(first[3] - second[3]) < 0.1


def test_procrustes_gives_scale_and_translation() -> None:
    torch.manual_seed(3)
    canonical, weights = torch.randn(40, 3), torch.rand(40)
    wanted = angles(20.0, -10.0, 30.0)
    shift = torch.tensor([[4.0, -2.0, 1.0]])
    points = 2.5 * canonical @ wanted.transpose(1, 2) + shift[:, None]
    rotation, scale, translation = procrustes(canonical, points, weights)
    assert torch.allclose(rotation, wanted, atol=1e-5)
    assert scale.item() == pytest.approx(2.5, abs=1e-4)
    assert torch.allclose(translation, shift, atol=1e-4)
    points[:, 0] += 50.0  # an outlier of weight nought changes nothing
    weights[0] = 0.0
    assert torch.allclose(procrustes(canonical, points, weights)[0], wanted, atol=1e-5)
    mirrored = points * torch.tensor([-1.0, 1.0, 1.0])
    assert torch.linalg.det(procrustes(canonical, mirrored, weights)[0]).item() == pytest.approx(1.0, abs=1e-4)
