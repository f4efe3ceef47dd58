"""Shapes, gradients, batches and exactness of the networks, on a tiny preset where size does not matter."""

import attrs
import pytest
import torch
from torch import nn

from mmfa_components.geometry.grid import grid_points
from mmfa_components.geometry.rotations import euler_to_matrix
from mmfa_components.networks.blocks import channels_last
from mmfa_components.networks.expression.codec import ShapeEncoder
from mmfa_components.networks.motion.keypoints import soft_argmax
from mmfa_components.networks.motion.sparse import heat_maps, relative_jacobian, sparse_motions
from mmfa_components.networks.norms import fold_norms, idle_biases
from plugins.mmfa import presets
from plugins.mmfa.model import PARTS, MMFAModel
from plugins.mmfa.presets import BASE, PAPER, Sizes, preset

TINY = Sizes(
    "tiny", image=64, keypoints=5, expression=8, volume_channels=4, volume_depth=3, appearance_channels=(4, 6, 8), appearance_blocks=1,
    keypoint_side=32, keypoint_channels=(4, 6, 8), keypoint_volume=4, keypoint_depth=3, keypoint_ups=(4,), affine_side=32,
    affine_channels=(4, 8, 8), expression_channels=(4, 8, 8), expression_hidden=(16,), motion_stem=6, motion_channels=(6, 8),
    generator_channels=(8, 6, 4), generator_blocks=(1, 1, 1), discriminator_channels=(4, 8, 8, 8), latent=3, vae_hidden=(16, 16),
)  # fmt: skip


def learnt(network: nn.Module) -> list[nn.Parameter]:
    """The parameters without the biases that a batch norm takes away again."""
    idle = {id(bias) for bias in idle_biases(network)}
    return [p for p in network.parameters() if id(p) not in idle]


def image(count: int = 2, side: int = 64) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(count))


def volume(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 4, 3, 16, 16, generator=torch.Generator().manual_seed(count))


def points(seed: int, count: int = 2) -> torch.Tensor:
    return torch.rand(count, 5, 3, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def eye(count: int = 2) -> torch.Tensor:
    return torch.eye(3).expand(count, 3, 3)


def test_grid_points_are_cell_centres() -> None:
    torch.testing.assert_close(grid_points((2,), torch.device("cpu"))[:, 0], torch.tensor([-0.5, 0.5]))
    grid = grid_points((2, 3, 4), torch.device("cpu"))
    assert grid.shape == (2, 3, 4, 3)
    torch.testing.assert_close(grid[0, 1, 3], torch.tensor([0.75, 0.0, -0.5]))  # x, y, z


def test_soft_argmax_finds_a_peak() -> None:
    logits = torch.full((1, 1, 3, 4, 4), -50.0)
    logits[0, 0, 2, 1, 3] = 50
    torch.testing.assert_close(soft_argmax(logits, 0.1)[0, 0], torch.tensor([0.75, -0.25, 2 / 3]))


def test_keypoints_lie_in_the_cube_and_have_gradients() -> None:
    network = presets.keypoint_detector(TINY)
    found = network(image())
    assert found.shape == (2, 5, 3)
    assert found.abs().max() <= 1
    found.sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in learnt(network))


def test_affine_starts_at_identity_and_scale_is_positive() -> None:
    network = presets.affine_estimator(TINY).eval()
    scale, translation = network(image())
    torch.testing.assert_close(scale, torch.ones(2), atol=0.05, rtol=0)
    torch.testing.assert_close(translation, torch.zeros(2, 3), atol=0.05, rtol=0)
    with torch.no_grad():
        network.head.bias[0] = -1e4
    assert (network(image())[0] > 0.19).all()


def test_expression_encoder_and_decoder_shapes_and_negative_deformation() -> None:
    feature = presets.expression_encoder(TINY)(image())
    assert feature.shape == (2, 8)
    decoder = presets.expression_decoder(TINY).eval()
    nn.init.normal_(decoder.last.weight)
    delta = decoder(feature, points(1))
    assert delta.shape == (2, 5, 3)
    assert (delta < 0).any()  # the last layer has no activation
    assert isinstance(decoder.last, nn.Linear)


def test_features_of_shapes_have_mean_0_and_variance_1_and_gradients() -> None:
    sizes = attrs.evolve(TINY, expression_input="shape")
    encoder = MMFAModel(sizes).expression_encoder
    assert isinstance(encoder, ShapeEncoder)
    shape = (5 + torch.randn(64, 107, 3, generator=torch.Generator().manual_seed(0))).requires_grad_()
    feature = encoder(shape)
    assert feature.shape == (64, 8)
    torch.testing.assert_close(feature.mean(0), torch.zeros(8), atol=1e-4, rtol=0)
    torch.testing.assert_close(feature.var(0, unbiased=False), torch.ones(8), atol=1e-2, rtol=0)
    (feature * torch.randn(64, 8)).sum().backward()
    assert shape.grad is not None
    assert (shape.grad.abs().sum((0, 2)) > 0).all()
    encoder.eval()
    with torch.no_grad():
        torch.testing.assert_close(encoder(shape)[3:5], encoder(shape[3:5]), atol=1e-5, rtol=1e-4)
        exact = encoder(shape[:4])
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(encoder(shape[:4]), exact)


def test_normalised_features_of_images_share_no_mean() -> None:
    encoder = presets.expression_encoder(attrs.evolve(TINY, expression_norm=True))
    torch.testing.assert_close(encoder(image(8)).mean(0), torch.zeros(8), atol=1e-4, rtol=0)
    assert float(presets.expression_encoder(TINY)(image(8)).detach().mean(0).abs().max()) > 1e-3


def test_appearance_volume_shape() -> None:
    assert presets.appearance_extractor(TINY)(image()).shape == (2, 4, 3, 16, 16)


def test_sparse_motion_of_identical_keypoints_is_the_identity() -> None:
    grid = grid_points((3, 4, 4), torch.device("cpu"))
    motions = sparse_motions(points(1), points(1), eye(), (3, 4, 4))
    torch.testing.assert_close(motions, grid.expand(2, 6, 3, 4, 4, 3), atol=1e-6, rtol=0)


def test_sparse_motion_takes_each_driving_keypoint_to_its_source() -> None:
    source, driving, jacobian = points(1), points(2), torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(3))
    size = (3, 4, 4)
    grid = grid_points(size, torch.device("cpu"))
    motions = sparse_motions(source, driving, jacobian, size)
    wanted = source[1, 4] + jacobian[1] @ (grid[2, 1, 3] - driving[1, 4])  # eq. 1
    torch.testing.assert_close(motions[1, 5, 2, 1, 3], wanted)
    torch.testing.assert_close(motions[:, 0], grid.expand(2, *grid.shape))


def test_heat_maps_match_the_full_formula() -> None:
    size = (3, 4, 5)
    grid = grid_points(size, torch.device("cpu"))
    wanted = torch.exp(-0.5 * (grid - points(1)[:, :, None, None, None]).square().sum(-1) / 0.02)
    torch.testing.assert_close(heat_maps(points(1), size, 0.02), wanted)


def test_relative_jacobian_is_the_product_with_the_inverse() -> None:
    turn = torch.linalg.qr(torch.randn(4, 3, 3, generator=torch.Generator().manual_seed(0)))[0]
    source, driving = torch.randn(4, 3, 3), 1.7 * turn
    torch.testing.assert_close(relative_jacobian(source, driving), source @ torch.linalg.inv(driving), atol=1e-5, rtol=1e-5)


def test_dense_motion_shapes_ranges_and_gradient() -> None:
    network = presets.dense_motion(TINY)
    flow, occlusion, hint, surface = network(volume(), points(1), points(2), eye())
    assert flow.shape == (2, 3, 16, 16, 3)
    assert hint.shape == surface.shape == (2, 0, 16, 16)
    assert occlusion.shape == (2, 1, 16, 16)
    assert occlusion.min() >= 0
    assert occlusion.max() <= 1
    (flow.sum() + occlusion.sum()).backward()
    assert all(p.grad is not None for p in learnt(network))


def test_flow_is_exact_under_autocast() -> None:
    network = presets.dense_motion(TINY).eval()
    same = points(1)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        flow, *_ = network(volume(), same, same, eye())
    torch.testing.assert_close(flow, grid_points((3, 16, 16), torch.device("cpu")).expand(2, 3, 16, 16, 3), atol=1e-5, rtol=0)


def test_generator_gives_three_sizes_each_fed_back() -> None:
    network = presets.generator(TINY)
    flow = grid_points((3, 16, 16), torch.device("cpu")).expand(2, 3, 16, 16, 3)
    images = network(volume(), flow, torch.ones(2, 1, 16, 16), torch.zeros(2, 0, 16, 16), torch.zeros(2, 3, 64, 64), torch.zeros(2, 0, 16, 16))
    assert [tuple(i.shape) for i in images] == [(2, 3, 16, 16), (2, 3, 32, 32), (2, 3, 64, 64)]
    assert all(0 <= float(i.detach().min()) <= float(i.detach().max()) <= 1 for i in images)
    images[-1].sum().backward()
    assert network.to_image[0].weight.grad is not None  # the coarse image is fed into the next step
    assert float(network.to_image[0].weight.grad.abs().sum()) > 0


def test_a_hint_of_the_motion_reaches_the_images() -> None:
    torch.manual_seed(0)
    sizes = attrs.evolve(TINY, motion_hint=3)
    motion, generator = presets.dense_motion(sizes), presets.generator(sizes).eval()
    flow, occlusion, hint, surface = motion(volume(), points(1), points(2), eye())
    assert hint.shape == (2, 3, 16, 16)
    image = torch.zeros(2, 3, 64, 64)
    with torch.no_grad():
        one, other = (generator(volume(), flow, occlusion, h, image, surface)[-1] for h in (hint, hint + 10 * torch.randn_like(hint)))
    assert float((one - other).abs().max()) > 1e-4
    generator(volume(), flow, occlusion, hint, image, surface)[-1].sum().backward()
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in motion.hint.norm.parameters())


def test_a_grid_head_tells_places_apart_that_the_mean_does_not() -> None:
    """A dot moved by whole strides of the network: the averaged features are the same inside, those on the grid are not."""
    found = {}
    for head in ("mean", "grid"):
        torch.manual_seed(0)
        network = presets.affine_estimator(attrs.evolve(TINY, affine_side=128, affine_channels=(4, 8), affine_head=head)).eval()
        nn.init.normal_(network.head.weight)
        pictures = torch.zeros(2, 3, 128, 128)
        pictures[0, :, 48:52, 48:52] = pictures[1, :, 64:68, 72:76] = 1.0
        with torch.no_grad():
            found[head] = network(pictures)[1]
    assert float((found["mean"][0] - found["mean"][1]).abs().max()) < 1e-3
    assert float((found["grid"][0] - found["grid"][1]).abs().max()) > 1e-2


def test_discriminator_gives_patches_and_features() -> None:
    scores, features = presets.discriminator(TINY)(image(2, 64))
    assert scores.shape[:2] == (2, 1)
    assert len(features) == 4


def test_batch_equals_single_in_evaluation() -> None:
    model = MMFAModel(TINY).eval()
    both = image()
    with torch.no_grad():
        for network in (model.keypoint_detector, model.expression_encoder, model.appearance_extractor):
            torch.testing.assert_close(network(both)[1:], network(both[1:]), atol=1e-5, rtol=1e-4)


def test_folding_norms_changes_nothing() -> None:
    model = MMFAModel(TINY)
    for _ in range(3):  # give the norms statistics that matter
        model.appearance_extractor(image(4))
        model.expression_encoder(image(4))
    model.eval()
    with torch.no_grad():
        before = model.appearance_extractor(image()), model.expression_encoder(image())
        fold_norms(model)
        channels_last(model)
        after = model.appearance_extractor(image()), model.expression_encoder(image())
    assert sum(isinstance(m, nn.BatchNorm2d) for m in model.expression_encoder.modules()) < 6
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_vae_shapes_and_reparameterisation() -> None:
    vae = presets.expression_vae(TINY).eval()
    feature = torch.randn(6, 8)
    rebuilt, mean, log_variance = vae(feature, torch.Generator().manual_seed(0))
    again, _, _ = vae(feature, torch.Generator().manual_seed(0))
    assert (rebuilt.shape, mean.shape, log_variance.shape) == ((6, 8), (6, 3), (6, 3))
    torch.testing.assert_close(rebuilt, again)
    assert not torch.equal(rebuilt, vae(feature, torch.Generator().manual_seed(1))[0])


def test_vae_normalises_features_inside() -> None:
    vae = presets.expression_vae(TINY).eval()
    shifted = presets.expression_vae(TINY).eval()
    shifted.load_state_dict(vae.state_dict())
    shifted.centre, shifted.spread = torch.full((8,), 3.0), torch.full((8,), 2.0)
    feature = torch.randn(4, 8)
    torch.testing.assert_close(shifted.encode(feature * 2 + 3)[0], vae.encode(feature)[0])
    torch.testing.assert_close(shifted.decode(torch.ones(4, 3)), vae.decode(torch.ones(4, 3)) * 2 + 3)


def test_model_names_its_parts() -> None:
    assert {name.split(".")[0] for name in MMFAModel(TINY).state_dict()} == {*PARTS, "expression_pose"}


def test_presets_by_name() -> None:
    assert preset("base").sizes is BASE
    assert preset("paper").sizes is PAPER
    assert BASE.volume_side == 64
    with pytest.raises(ValueError, match="bass"):
        preset("bass")
    assert attrs.evolve(BASE, name="x").keypoints == BASE.keypoints


def test_the_pose_part_is_found_within_clips_and_is_nothing_before() -> None:
    part = presets.expression_pose(TINY)
    g = torch.Generator().manual_seed(0)
    yaw, pitch = 0.4 * torch.randn(90, generator=g), 0.2 * torch.randn(90, generator=g)
    rotation = euler_to_matrix(yaw, pitch, 0.3 * torch.randn(90, generator=g))
    assert float(part(rotation).abs().max()) == 0
    truth = torch.randn(5, 8, generator=g)
    person = torch.randn(3, 8, generator=g).repeat_interleave(30, 0)  # who somebody is, other in each clip
    part.fit(person + part.terms(rotation) @ truth, rotation, torch.tensor([30, 30, 30]))
    torch.testing.assert_close(part.weight, truth, atol=0.05, rtol=0.05)
    far = euler_to_matrix(torch.tensor([1.2, 0.7]), torch.zeros(2), torch.zeros(2))
    assert torch.equal(part(far)[0], part(far)[1])  # beyond the limit it stays
