"""Composition (eq. 5): the only form that is equivariant to similarity transforms of the image."""

import torch

from mmfa_components.geometry.apply import apply_affine, apply_matrix
from mmfa_components.geometry.compose import compose, compose_points, similarity
from mmfa_components.geometry.rotations import euler_to_matrix, rotate_in_plane
from mmfa_components.records import CanonicalKeypoints, Deformation, Motion


def sample() -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(0)
    canonical = torch.rand(1, 15, 3, generator=g) * 2 - 1
    delta = 0.1 * torch.randn(1, 15, 3, generator=g)
    rotation = euler_to_matrix(torch.tensor([0.4]), torch.tensor([-0.2]), torch.tensor([0.1]))
    return canonical, delta, rotation, torch.tensor([1.1]), torch.tensor([[0.1, -0.2, 0.05]])


def moved(form: str) -> float:
    """Largest xy error of a form when the image is turned by 0.5 rad, scaled by 1.25 and shifted, e and x_c kept."""
    canonical, delta, rotation, s, t = sample()
    angle, scale, shift = torch.tensor([0.5]), torch.tensor([1.25]), torch.tensor([[0.1, 0.05]])

    def points(r: torch.Tensor, s: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        turned = apply_matrix(r, canonical)
        return {
            "mmfa": compose_points(canonical, delta, r, s, t),
            "liveportrait": s[:, None, None] * (turned + delta) + t[:, None],
            "outside": s[:, None, None] * turned + delta + t[:, None],
            "face_vid2vid": turned + t[:, None] + delta,
        }[form]

    image = similarity(angle, scale, shift)
    wanted = apply_affine(image, points(rotation, s, t)[..., :2])
    t_moved = torch.cat([apply_affine(image, t[:, None, :2])[:, 0], scale[:, None] * t[:, 2:]], 1)
    got = points(rotate_in_plane(rotation, angle), scale * s, t_moved)[..., :2]
    return float((got - wanted).abs().max())


def test_only_mmfas_form_is_equivariant() -> None:
    assert moved("mmfa") < 1e-6
    assert moved("liveportrait") > 0.02
    assert moved("outside") > 0.02
    assert moved("face_vid2vid") > 0.02


def test_hand_computed_case() -> None:
    quarter = torch.tensor([[[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]])
    got = compose_points(torch.tensor([[[1.0, 0, 0]]]), torch.tensor([[[1.0, 0, 0]]]), quarter, torch.tensor([3.0]), torch.tensor([[0.0, 1, 2]]))
    torch.testing.assert_close(got, torch.tensor([[[0.0, 7, 2]]]))


def test_records_share_one_identity_and_carry_the_frame() -> None:
    canonical, delta, rotation, s, t = sample()
    three = Motion(rotation.expand(3, 3, 3), s.expand(3), t.expand(3, 3), torch.zeros(3, 4))
    posed = compose(CanonicalKeypoints(canonical), Deformation(delta.expand(3, -1, -1)), three)
    torch.testing.assert_close(posed.points[2:], compose_points(canonical, delta, rotation, s, t))
    torch.testing.assert_close(posed.frame[0], s[0] * rotation[0])


def test_gradients_reach_every_input() -> None:
    inputs = [x.double().requires_grad_() for x in sample()]
    assert torch.autograd.gradcheck(compose_points, inputs)
