"""Every loss: a value computed by hand, and its gradient."""

import pytest
import torch
from torch import nn

from mmfa_components.geometry.compose import similarity
from mmfa_components.losses.adversarial import discriminator_loss, feature_matching_loss, generator_loss
from mmfa_components.losses.equivariance import ImageTransform, equivariance_loss
from mmfa_components.losses.guide import GUIDE, GUIDE_MIRROR, guide_loss, mirror_guide, place_loss
from mmfa_components.losses.landmarks import EYES, MOUTH, PARTS, REST, landmark_loss
from mmfa_components.losses.perceptual import VGGFeatures, features_of, multi_scale_perceptual_loss, perceptual_loss
from mmfa_components.losses.priors import deformation_prior_loss, keypoint_prior_loss
from mmfa_components.losses.recognition import recognition_loss
from mmfa_components.losses.representation import identity_loss, representation_loss


class Grey(nn.Module):
    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        return [image.mean(1), 2 * image.mean(1)]


def test_perceptual_loss_sums_layers_and_levels() -> None:
    result, target = torch.full((2, 3, 8, 8), 0.5, requires_grad=True), torch.zeros(2, 3, 8, 8)
    assert float(perceptual_loss(Grey(), result, target).detach()) == pytest.approx(1.5)
    loss = perceptual_loss(Grey(), result, target, levels=2)
    assert float(loss.detach()) == pytest.approx(3.0)
    loss.backward()
    assert result.grad is not None
    assert (result.grad > 0).all()


def test_features_that_are_known_are_not_computed_again() -> None:
    target, result = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)
    sizes = []

    class Counted(Grey):
        def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
            sizes.append(image.shape[-1])
            return super().forward(image)

    plain = perceptual_loss(Grey(), result, target, 2)
    known = perceptual_loss(Counted(), result, target, 2, features_of(Grey(), result, target))
    torch.testing.assert_close(known, plain)
    assert sizes == [8, 8]


def test_multi_scale_loss_shrinks_the_target() -> None:
    target = torch.rand(1, 3, 16, 16)
    exact = [torch.nn.functional.interpolate(target, (n, n), mode="area") for n in (4, 8)] + [target]
    assert float(multi_scale_perceptual_loss(Grey(), exact, target)) == pytest.approx(0, abs=1e-6)
    assert float(multi_scale_perceptual_loss(Grey(), [e + 0.1 for e in exact], target, (1, 1, 1))) == pytest.approx(0.9, abs=1e-5)


def test_vgg_features_have_the_five_maps_and_are_frozen() -> None:
    features = VGGFeatures()(torch.rand(1, 3, 32, 32))
    assert [tuple(f.shape[1:]) for f in features] == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (512, 2, 2)]
    assert not any(p.requires_grad for p in VGGFeatures().parameters())


def test_least_squares_gan() -> None:
    assert float(generator_loss(torch.tensor([0.0, 2.0]))) == 1
    assert float(discriminator_loss(torch.tensor([1.0, 3.0]), torch.tensor([2.0]))) == 6
    fake = torch.zeros(3, requires_grad=True)
    generator_loss(fake).backward()
    torch.testing.assert_close(fake.grad, torch.full((3,), -2 / 3))


def test_feature_matching_ignores_the_real_gradient() -> None:
    real, fake = torch.ones(4, requires_grad=True), torch.full((4,), 3.0, requires_grad=True)
    loss = feature_matching_loss([real, real], [fake, fake])
    assert float(loss.detach()) == 2
    loss.backward()
    assert real.grad is None
    assert fake.grad is not None


def test_keypoint_prior_counts_crowding_both_ways_and_depth() -> None:
    far = torch.tensor([[[-1.0, 0, 0], [1, 0, 0]]])
    assert float(keypoint_prior_loss(far)) == 0
    near = torch.tensor([[[0.0, 0, 0.5], [0.1, 0, 0.5]]], requires_grad=True)
    loss = keypoint_prior_loss(near, depth=0.2)
    assert float(loss.detach()) == pytest.approx(2 * (0.1 - 0.01) + 0.3)
    loss.backward()
    assert near.grad is not None
    assert near.grad[0, 0, 0] > 0 > near.grad[0, 1, 0]  # they are pushed apart


def test_deformation_prior_is_the_mean() -> None:
    delta = torch.tensor([[[1.0, -2, 0]]], requires_grad=True)
    deformation_prior_loss(delta).backward()
    assert float(deformation_prior_loss(delta).detach()) == 1
    torch.testing.assert_close(delta.grad, torch.tensor([[[1.0, -1, 0]]]) / 3)


def test_representation_loss_sees_direction_only() -> None:
    e = torch.tensor([[1.0, 0], [0, 2]])
    assert float(representation_loss(e, 5 * e)) == pytest.approx(0)
    assert float(representation_loss(e, e.flip(1))) == pytest.approx(1)
    assert float(representation_loss(e, -e)) == pytest.approx(2)
    assert torch.autograd.gradcheck(representation_loss, [torch.randn(3, 4, dtype=torch.double, requires_grad=True) for _ in range(2)])


def test_identity_loss() -> None:
    assert float(identity_loss(torch.zeros(2, 3, 3), torch.full((2, 3, 3), -0.5))) == 0.5


def plain(matrix: torch.Tensor, angle: torch.Tensor) -> ImageTransform:
    count = len(matrix)
    return ImageTransform(matrix, angle, torch.zeros(25, 2), torch.zeros(count, 25))


def test_equivariance_of_points_that_move_with_the_image_is_zero() -> None:
    angle = torch.tensor([0.4])
    transform = plain(similarity(angle, torch.tensor([1.2]), torch.tensor([[0.1, -0.1]])), angle)
    moved = torch.rand(1, 5, 3, requires_grad=True)
    original = torch.cat([transform.warp_points(moved[..., :2]), torch.rand(1, 5, 1)], -1)
    loss = equivariance_loss(original.detach(), moved, transform)
    assert float(loss.detach()) == pytest.approx(0, abs=1e-6)
    assert float(equivariance_loss(original.detach() + 0.1, moved, transform).detach()) == pytest.approx(0.1, abs=1e-6)
    loss.backward()
    assert moved.grad is not None
    assert (moved.grad[..., 2] == 0).all()  # x and y only


def test_warped_image_shows_at_p_what_was_at_the_warped_p() -> None:
    transform = ImageTransform.random(2, torch.device("cpu"), torch.Generator().manual_seed(0))
    x = torch.linspace(-1, 1, 65)[:-1] + 1 / 64
    image = torch.stack(torch.meshgrid(x, x, indexing="xy"), 0)[None].expand(2, -1, -1, -1)  # channels: x and y of each pixel
    image = torch.cat([image, image[:, :1]], 1)
    warped = transform.warp_image(image)
    where = transform.warp_points(torch.tensor([[[x[30], x[34]]]]).expand(2, 1, 2))[:, 0]
    torch.testing.assert_close(warped[:, :2, 34, 30], where, atol=1e-4, rtol=0)


def test_a_transform_turns_the_head_by_minus_its_angle() -> None:
    transform = plain(similarity(torch.tensor([0.5]), torch.ones(1), torch.zeros(1, 2)), torch.tensor([0.5]))
    image = torch.zeros(1, 3, 64, 64)
    image[..., 32, 50] = 1  # a dot on the right
    y, x = divmod(int(transform.warp_image(image)[0, 0].argmax()), 64)
    assert x > 40
    assert y < 28  # it went up: anticlockwise


def test_landmark_lists_are_the_145_points_with_pupils() -> None:
    assert len(MOUTH) + len(EYES) + len(REST) == len({*MOUTH, *EYES, *REST}) == 145
    assert set(range(468, 478)) <= set(EYES)


def test_landmark_loss_weighs_parts() -> None:
    def detect(image: torch.Tensor) -> torch.Tensor:
        points = torch.zeros(len(image), 478, 3)
        return points + image.mean((1, 2, 3))[:, None, None]

    result, driving = torch.full((2, 3, 8, 8), 4.0, requires_grad=True), torch.zeros(2, 3, 8, 8)
    weights = {"mouth": 1.0, "eyes": 0.5, "rest": 0.25}
    loss = landmark_loss(detect, result, driving, weights)
    assert float(loss.detach()) == pytest.approx(1.75)  # every point 4 pixels off, half the side is 4
    loss.backward()
    assert result.grad is not None
    assert (result.grad > 0).all()
    assert set(PARTS) == set(weights)


def test_centred_representation_loss_sees_what_differs() -> None:
    e = torch.randn(6, 4, dtype=torch.double)
    shared = 1000 * torch.ones(4, dtype=torch.double)
    assert float(representation_loss(e + shared, -e + shared)) == pytest.approx(0, abs=1e-4)
    assert float(representation_loss(e + shared, -e + shared, centred=True)) > 0.5
    assert float(representation_loss(e + shared, e + shared, centred=True)) == pytest.approx(0)
    torch.testing.assert_close(representation_loss(e[:1], e[1:2], centred=True), representation_loss(e[:1], e[1:2]))
    pair = [torch.randn(3, 4, dtype=torch.double, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(lambda a, b: representation_loss(a, b, centred=True), pair)


def test_guide_loss_by_hand() -> None:
    points = torch.zeros(2, 5, 3, requires_grad=True)
    landmarks = torch.tensor([[0.5, 0.0], [0.0, -0.5]]).expand(2, 2, 2).clone().requires_grad_(True)
    loss = guide_loss(points, landmarks)
    assert float(loss.detach()) == pytest.approx(0.25 + 0.5)  # places, and the one gap between them, (0.5, 0.5)
    loss.backward()
    assert landmarks.grad is None
    assert points.grad is not None
    assert points.grad.abs().sum((0, 2)).gt(0).tolist() == [True, True, False, False, False]
    assert float(points.grad[..., 2].abs().sum()) == 0
    assert float(guide_loss(points[:, :1], landmarks).detach()) == pytest.approx(0.25)  # fewer keypoints than landmarks


def test_the_guide_minds_gaps_more_than_places() -> None:
    landmarks = 0.3 * torch.rand(1, len(GUIDE), 2)
    points = torch.cat([landmarks, torch.zeros(1, len(GUIDE), 1)], -1)
    assert float(guide_loss(points, landmarks)) == 0
    assert float(guide_loss(points + 0.1, landmarks)) == pytest.approx(0.1, abs=1e-5)  # all moved alike: the gaps are right
    shut = points.clone()
    shut[:, 3, 1] += 0.1  # one lip
    assert float(guide_loss(shut, landmarks)) == pytest.approx(0.1 / 28 + 0.1 / 10, abs=1e-5)


def test_the_keypoint_prior_leaves_led_keypoints_alone() -> None:
    points = torch.tensor([[[0.0, 0, 0], [0.1, 0, 0], [0.2, 0, 0]]])
    pairs = [2 * (0.1 - d**2) for d in (0.1, 0.1, 0.2)]
    assert float(keypoint_prior_loss(points)) == pytest.approx(sum(pairs), abs=1e-6)
    assert float(keypoint_prior_loss(points, led=2)) == pytest.approx(pairs[1] + pairs[2], abs=1e-6)
    assert float(keypoint_prior_loss(points, led=3)) == 0


def test_the_guide_is_the_same_face_in_the_mirror() -> None:
    assert [GUIDE_MIRROR[i] for i in GUIDE_MIRROR] == list(range(len(GUIDE)))
    points = torch.rand(1, len(GUIDE), 2) * 100
    torch.testing.assert_close(mirror_guide(mirror_guide(points, 100.0), 100.0), points)
    mirrored = mirror_guide(points, 100.0)
    torch.testing.assert_close(mirrored[0, 0], torch.stack([100 - points[0, 1, 0], points[0, 1, 1]]))  # left mouth corner is now the right one


def test_place_loss_by_hand() -> None:
    scale = torch.tensor([1.0, 2.0], requires_grad=True)
    translation = torch.tensor([[0.1, 0.0, 5.0], [0.0, 0.3, 5.0]], requires_grad=True)
    place = torch.tensor([[0.0, 0.0, 0.5], [0.0, 0.0, 0.0]], requires_grad=True)
    loss = place_loss(scale, translation, place)
    assert float(loss.detach()) == pytest.approx(0.4 / 4 + (0.5 + 0.693147) / 2, abs=1e-5)
    loss.backward()
    assert place.grad is None
    assert translation.grad is not None
    assert translation.grad.nonzero().tolist() == [[0, 0], [1, 1]]
    torch.testing.assert_close(scale.grad, torch.tensor([-0.5, 0.25]))  # d mean |log s - l| = sign / (2 s)


def test_points_carried_along_lie_where_the_picture_shows_them() -> None:
    transform = ImageTransform.random(6, torch.device("cpu"), torch.Generator().manual_seed(0), spline=0.0)
    points = 1.2 * torch.rand(6, 5, 2) - 0.6
    carried = transform.carry_points(points)
    torch.testing.assert_close(transform.warp_points(carried), points, atol=1e-5, rtol=0)
    apart = [(p[:, 0] - p[:, 1]).norm(dim=1) for p in (points, carried)]
    torch.testing.assert_close(apart[1] / apart[0], transform.zoom, atol=1e-4, rtol=0)


def test_recognition_loss_is_one_less_the_cosine() -> None:
    def embed(faces: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(faces.mean((2, 3)), dim=1)

    result = torch.tensor([[1.0, 0, 0], [1, 1, 0], [2, 0, 0]])[:, :, None, None].expand(3, 3, 4, 4).clone().requires_grad_(True)
    driving = torch.tensor([[0.0, 1, 0], [1, 0, 0], [1, 0, 0]])[:, :, None, None].expand(3, 3, 4, 4).clone().requires_grad_(True)
    loss = recognition_loss(embed, result, driving)
    assert float(loss.detach()) == pytest.approx((1 + (1 - 0.5**0.5) + 0) / 3)
    loss.backward()
    assert driving.grad is None
    assert result.grad is not None
    assert float(result.grad[1, 1].sum()) > 0, "less of what the other does not have"
    assert float(result.grad[1, 0].sum()) < 0
