"""Rotations: signs, round trips, interpolation, distance."""

import math

import pytest
import torch

from mmfa_components.geometry.rotations import (
    euler_to_matrix,
    geodesic_degrees,
    in_plane,
    matrix_to_euler,
    nearest_rotation,
    rotate_in_plane,
    rotation_vector,
    slerp,
    vector_rotation,
)


def random_angles(count: int = 50) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    yaw, pitch, roll = (2 * torch.rand(3, count, generator=g, dtype=torch.float64) - 1) * 1.4
    return yaw, pitch, roll


def test_nose_direction_follows_hopenets_drawing_convention() -> None:
    yaw, pitch, roll = random_angles()
    nose = euler_to_matrix(yaw, pitch, roll)[..., :, 2]
    wanted = torch.stack([-yaw.sin(), -yaw.cos() * pitch.sin(), yaw.cos() * pitch.cos()], -1)
    torch.testing.assert_close(nose, wanted)


def test_angles_come_back() -> None:
    angles = random_angles()
    for got, want in zip(matrix_to_euler(euler_to_matrix(*angles)), angles, strict=True):
        torch.testing.assert_close(got, want)


def test_matrices_are_rotations() -> None:
    matrix = euler_to_matrix(*random_angles())
    torch.testing.assert_close(matrix @ matrix.transpose(1, 2), torch.eye(3, dtype=torch.float64).expand(50, 3, 3))
    torch.testing.assert_close(torch.linalg.det(matrix), torch.ones(50, dtype=torch.float64))


def test_rotating_in_plane_adds_exactly_that_roll_to_an_unturned_head() -> None:
    zero, a = torch.zeros(1), torch.tensor([0.3])
    yaw, pitch, roll = matrix_to_euler(rotate_in_plane(euler_to_matrix(zero, zero, torch.tensor([0.2])), a))
    assert float(roll) == pytest.approx(0.5, abs=1e-6)
    assert float(yaw) == pytest.approx(0, abs=1e-6)
    assert float(pitch) == pytest.approx(0, abs=1e-6)


def test_in_plane_turns_x_towards_y() -> None:
    torch.testing.assert_close(in_plane(torch.tensor(math.pi / 2)) @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]), atol=1e-6, rtol=0)


def test_nearest_rotation_undoes_noise_and_never_mirrors() -> None:
    matrix = euler_to_matrix(*random_angles()).float()
    noisy = 1.7 * matrix + 0.01 * torch.randn(50, 3, 3, generator=torch.Generator().manual_seed(2))
    assert geodesic_degrees(nearest_rotation(noisy), matrix).max() < 1.5
    mirrored = matrix @ torch.diag(torch.tensor([1.0, 1, -1]))
    torch.testing.assert_close(torch.linalg.det(nearest_rotation(mirrored)), torch.ones(50))


def test_slerp_halves_the_angle() -> None:
    yaw, pitch, roll = random_angles()
    a, b = euler_to_matrix(yaw, pitch, roll), euler_to_matrix(roll, yaw, pitch)
    middle = slerp(a, b, torch.full((50,), 0.5, dtype=torch.float64))
    torch.testing.assert_close(geodesic_degrees(a, middle), geodesic_degrees(middle, b), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(slerp(a, b, torch.ones(50, dtype=torch.float64)), b, atol=1e-6, rtol=1e-6)


def test_rotation_vector_round_trip_and_gradient_at_identity() -> None:
    vector = (torch.randn(20, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)).clamp(-1.5, 1.5)
    torch.testing.assert_close(rotation_vector(vector_rotation(vector)), vector)
    start = torch.zeros(1, 3, requires_grad=True)
    rotation_vector(vector_rotation(start)).sum().backward()
    assert start.grad is not None
    assert torch.isfinite(start.grad).all()


def test_geodesic_degrees_of_known_turn() -> None:
    turned = euler_to_matrix(torch.tensor([math.radians(25)]), torch.zeros(1), torch.zeros(1))
    assert float(geodesic_degrees(torch.eye(3)[None], turned)) == pytest.approx(25, abs=1e-3)
