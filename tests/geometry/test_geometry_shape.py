"""Shapes without pose: invariance, the mirror."""

from __future__ import annotations

import torch

from mmfa_components.geometry.rotations import euler_to_matrix
from mmfa_components.geometry.shape import SHAPE_MIRROR, SHAPE_POINTS, mirror_shape, shape_of
from mmfa_components.perception.landmarks import LandmarkRotation
from mmfa_components.records import MeshLandmarks
from mmfa_components.registry import load_registry

CPU = torch.device("cpu")


def fit_and_face() -> tuple[LandmarkRotation, torch.Tensor]:
    """The shipped fit, and a face (1, 478, 3) in the canonical face's axes, pupils made up, that is not symmetric."""
    context = load_registry().context(CPU, torch.float32)
    fit: LandmarkRotation = context.build("rotation_estimator", "facemesh", {})
    canonical = context.weights.read("facemesh_geometry")["canonical"]
    pupils = torch.cat([canonical[[33, 133]].mean(0).expand(5, 3), canonical[[263, 362]].mean(0).expand(5, 3)])
    face = torch.cat([canonical, pupils]) + 0.2 * torch.randn(478, 3, generator=torch.Generator().manual_seed(0))
    return fit, face[None]


def seen(face: torch.Tensor, rotation: torch.Tensor, scale: float, shift: torch.Tensor) -> MeshLandmarks:
    """The face as landmarks in pixels, z away from the viewer."""
    points = scale * face @ rotation.mT + shift
    return MeshLandmarks(points * torch.tensor([1.0, 1.0, -1.0]), torch.ones(len(face)))


def test_a_shape_does_not_change_with_the_pose() -> None:
    fit, face = fit_and_face()
    angles = torch.tensor([[0.0, 0, 0], [0.5, 0.2, -0.4], [-0.3, -0.3, 1.0]])
    shapes = []
    for number, (yaw, pitch, roll) in enumerate(angles):
        rotation = euler_to_matrix(yaw[None], pitch[None], roll[None])[0]
        shapes.append(shape_of(fit.frontal(seen(face, rotation, 8.0 + number, torch.tensor([100.0 * number, 50.0, 0.0])))))
    assert shapes[0].shape == (1, len(SHAPE_POINTS), 3)
    for other in shapes[1:]:
        torch.testing.assert_close(other, shapes[0], atol=1e-3, rtol=0)
    opened = face.clone()
    opened[:, 14, 1] += 1.0  # the lower lip
    turned = shape_of(fit.frontal(seen(opened, rotation, 9.0, torch.zeros(3))))
    moved = (turned - shapes[0]).norm(dim=-1)[0]
    assert float(moved[SHAPE_POINTS.index(14)]) > 0.9
    assert float(moved[SHAPE_POINTS.index(159)]) < 0.05


def test_the_mirror_of_a_shape_is_the_shape_of_the_mirrored_face() -> None:
    assert [SHAPE_MIRROR[i] for i in SHAPE_MIRROR] == list(range(len(SHAPE_POINTS)))
    canonical = load_registry().context(CPU, torch.float32).weights.read("facemesh_geometry")["canonical"]
    skin = [point for point in SHAPE_POINTS if point < 468]
    shape = torch.cat([canonical[skin], torch.tensor([[-3.0, -3, 5], [3, -3, 5]])])[None]
    torch.testing.assert_close(mirror_shape(shape), shape, atol=0.01, rtol=0)  # the canonical face is its own mirror image
    other = shape + torch.randn(shape.shape, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(mirror_shape(mirror_shape(other)), other)
