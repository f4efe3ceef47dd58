"""The source image that is moved and handed to the generator."""

from __future__ import annotations

import math

import attrs
import torch
from test_networks import TINY, eye, points, volume
from torch import nn
from torch.nn import functional

from mmfa_components.geometry.grid import grid_points
from mmfa_components.networks.generators.source_skip import SourceSkip, blend_picture, move_source
from mmfa_components.networks.motion.dense import SurfaceMotion
from plugins.mmfa import presets

SIZES = attrs.evolve(TINY, source_skip=True)
CPU = torch.device("cpu")


def pictures(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(5))


def still(count: int = 2, trust: float = 1.0) -> torch.Tensor:
    """The surface of nothing that moves."""
    where = grid_points((16, 16), CPU).permute(2, 0, 1).expand(count, -1, -1, -1)
    return torch.cat([where, torch.full((count, 1, 16, 16), trust)], 1)


def test_no_motion_leaves_the_source_exactly_as_it_is() -> None:
    moved = move_source(pictures(), still(trust=0.5))
    torch.testing.assert_close(moved[:, :3], pictures(), atol=2e-5, rtol=0)
    assert moved[:, 3:].unique().tolist() == [0.5]


def test_a_shift_of_the_surface_shifts_the_source() -> None:
    shift = torch.tensor([2 * 4 / 64, 2 * 8 / 64, 0]).view(1, 3, 1, 1)  # samples 4 pixels to the right and 8 below
    moved = move_source(pictures(), still() + shift)[:, :3]
    torch.testing.assert_close(moved[:, :, 8:40, 8:40], pictures()[:, :, 16:48, 12:44], atol=2e-5, rtol=0)


def test_the_surface_is_the_flow_at_the_depth_that_is_seen() -> None:
    network = SurfaceMotion(4, 3)
    flow = torch.rand(2, 3, 16, 16, 3, generator=torch.Generator().manual_seed(0))
    surface = network(torch.randn(2, 4, 16, 16), flow)
    assert surface.shape == (2, 3, 16, 16)
    torch.testing.assert_close(surface[:, :2], flow[..., :2].mean(1).permute(0, 3, 1, 2))  # untrained: the mean
    assert surface[:, 2].unique().tolist() == [0.5]
    with torch.no_grad():
        network.conv.bias.copy_(torch.tensor([0.0, 40.0, 0.0, 40.0]))
    nearest = network(torch.zeros(2, 4, 16, 16), flow)
    torch.testing.assert_close(nearest[:, :2], flow[:, 1, :, :, :2].permute(0, 3, 1, 2))
    torch.testing.assert_close(nearest[:, 2], torch.ones(2, 16, 16))


def test_an_untrained_skip_takes_little_and_learns_from_the_first_step_on() -> None:
    torch.manual_seed(0)
    motion, generator = presets.dense_motion(SIZES).eval(), presets.generator(SIZES).eval()
    flow, occlusion, hint, surface = motion(volume(), points(1), points(2), eye())
    assert surface.shape == (2, 3, 16, 16)
    with torch.no_grad():
        one, other = (generator(volume(), flow, occlusion, hint, image, surface) for image in (pictures(), 1 - pictures()))
        shown = move_source(1 - pictures(), surface)[:, :3] - move_source(pictures(), surface)[:, :3]
    assert torch.equal(one[1], other[1])  # the smaller images are as they were
    torch.testing.assert_close(other[2] - one[2], shown / (1 + math.exp(2.0)))
    optimiser = torch.optim.Adam([*motion.parameters(), *generator.parameters()], 1e-3)
    for _ in range(2):
        motion.zero_grad()
        generator.zero_grad()
        flow, occlusion, hint, surface = motion(volume(), points(1), points(2), eye())
        result = generator(volume(), flow, occlusion, hint, pictures(), surface)[-1]
        functional.l1_loss(result, pictures()).backward()
        optimiser.step()
    assert motion.surface is not None
    assert generator.skip is not None
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in (*motion.surface.parameters(), *generator.skip.parameters()))


def test_a_blend_lies_between_both_pictures() -> None:
    skip = SourceSkip(4)
    nn.init.normal_(skip.share.weight, std=3.0)
    features, moved, image = torch.randn(3, 4, 64, 64), torch.cat([pictures(3), torch.ones(3, 1, 64, 64)], 1), 1 - pictures(3)
    mixed = skip.blend(features, image, moved)
    assert mixed.shape == image.shape
    assert bool(((mixed >= torch.minimum(image, moved[:, :3]) - 1e-6) & (mixed <= torch.maximum(image, moved[:, :3]) + 1e-6)).all())
    assert skip.see(moved).shape == features.shape
    with torch.autocast("cpu", torch.bfloat16):
        assert skip.blend(features, image.bfloat16(), moved).dtype == torch.float32  # the source's colours are not rounded


def test_a_larger_picture_is_blended_as_the_source_is() -> None:
    """At rest and at its own side the painted image is the usual one; at a larger side it is that one enlarged, with more pixels."""
    torch.manual_seed(0)
    generator = presets.generator(SIZES).eval()
    given = (volume(), torch.rand(2, 4, 16, 16, 3), torch.rand(2, 1, 16, 16), torch.rand(2, SIZES.motion_hint, 16, 16), pictures(), still())
    given = (given[0], torch.rand(2, given[0].shape[2], 16, 16, 3), *given[2:])
    loose = torch.zeros(2, 1, 16, 16)
    with torch.no_grad():
        usual = generator(*given)[-1]
        torch.testing.assert_close(generator.paint(*given, pictures(), loose), usual, atol=1e-4, rtol=0)
        large = functional.interpolate(pictures(), size=(128, 128), mode="bicubic").clamp(0, 1)
        shown = generator.paint(*given, large, loose)
        assert shown.shape == (2, 3, 128, 128)
        assert float((functional.avg_pool2d(shown, 2) - usual).abs().mean()) < 0.02
        torch.testing.assert_close(generator.paint(*given, large, loose + 1), large, atol=1e-4, rtol=0)


def test_without_a_share_the_picture_shows_where_it_is_still_only() -> None:
    image, none = torch.rand(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)
    rest = grid_points((8, 8), CPU).permute(2, 0, 1)[None]
    torch.testing.assert_close(blend_picture(image, none, 1 - image, rest, torch.ones(1, 1, 8, 8)), 1 - image, atol=1e-4, rtol=0)
    torch.testing.assert_close(blend_picture(image, none, 1 - image, rest, torch.zeros(1, 1, 8, 8)), image)
