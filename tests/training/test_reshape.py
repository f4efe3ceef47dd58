"""Faces of another shape: the same in both images, sticking to the head, landmarks and shape changed with the picture."""

import attrs
import torch
from test_pairs import make_pairs, relabelled
from tiny_training import clips

from mmfa_components.geometry.rotations import euler_to_matrix
from mmfa_components.geometry.shape import SHAPE_POINTS
from mmfa_components.losses.guide import CANONICAL_UNITS, GUIDE
from mmfa_components.training.reshape import BUMPS, NUMBERS, PUSH, Bumps, bumps_on_heads, posed
from pipelines.training.pairs import draw_pairs
from pipelines.training.schema import Data

CPU = torch.device("cpu")


def heads(count: int = 3, seed: int = 0) -> Bumps:
    g = torch.Generator().manual_seed(seed)
    return bumps_on_heads(4 * torch.randn(count, len(SHAPE_POINTS), 3, generator=g), torch.rand(count, BUMPS, NUMBERS, generator=g))


def test_one_bump_by_hand() -> None:
    bump = Bumps(torch.zeros(1, 1, 2), torch.tensor([[[0.5, 0.0]]]), torch.full((1, 1), 2.0))
    found = bump.at(torch.tensor([[[0.0, 0.0], [2.0, 0.0], [40.0, 0.0]]]))
    torch.testing.assert_close(found, torch.tensor([[[0.5, 0.0], [0.5 * 0.6065307, 0.0], [0.0, 0.0]]]))


def test_carried_points_are_where_the_picture_finds_them() -> None:
    """The picture at q shows what was at q - push(q); a carried point has to be found there."""
    bumps, points = heads(), 4 * torch.randn(3, 50, 3, generator=torch.Generator().manual_seed(1))
    carried = bumps.carry(points)
    assert (carried - points).abs().max() > 0.2
    torch.testing.assert_close(carried - bumps.at(carried), points, atol=0.02, rtol=0)


def test_pushes_have_no_mean_and_stay_small() -> None:
    bumps = heads(64)
    torch.testing.assert_close(bumps.push.mean(1), torch.zeros(64, 3), atol=1e-6, rtol=0)
    assert bumps.push.abs().max() <= 2 * PUSH


def test_bumps_turn_with_the_head() -> None:
    """A head turned by a right angle in the picture shows the push turned, at a place turned about the head's middle."""
    bumps, place = heads(1), torch.tensor([[30.0, 20.0, 50.0]])
    zero, quarter = torch.zeros(1), torch.full((1,), torch.pi / 2)
    straight = posed(bumps, euler_to_matrix(zero, zero, zero), place)
    turned = posed(bumps, euler_to_matrix(zero, zero, quarter), place)
    for before, after in ((straight.push, turned.push), (straight.centre - place[:, None, :2], turned.centre - place[:, None, :2])):
        torch.testing.assert_close(after, torch.stack([-before[..., 1], before[..., 0]], -1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(straight.radius, bumps.radius * 50.0 / CANONICAL_UNITS)


def test_picture_landmarks_and_shape_change_alike() -> None:
    """A dot painted at a guide landmark is found where the pair says the landmark is now."""
    data = clips((1,))
    place = torch.full((1, len(GUIDE), 2), 44.5)
    place[0, 0] = torch.tensor([28.5, 36.5])
    picture = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    picture[0, 0, 35:38, 27:30] = 60
    picture[0, 0, 36, 28] = 255
    shape = 5 * torch.randn(1, len(SHAPE_POINTS), 3, generator=torch.Generator().manual_seed(6))
    data = relabelled(data, picture, guide=place, place=torch.tensor([[32.0, 32.0, 30.0]]), shape=shape)
    options = Data(moved=0.0, jitter=0.0, flip=False, reshaped=1.0)
    made = attrs.evolve(draw_pairs(data, 24, torch.Generator().manual_seed(2), options), moved=torch.zeros(24, dtype=torch.bool))
    pairs = make_pairs(data, made, CPU)
    torch.testing.assert_close(pairs.source["image"], pairs.driving["image"])  # twice the same frame, the same new face
    assert (pairs.source["shape"] - data.labels["shape"]).abs().max() > 0.1
    moved_by = []
    for i in range(24):
        y, x = divmod(int(pairs.driving["image"][i, 0].argmax()), 64)
        found = torch.tensor([x + 0.5, y + 0.5]) / 32 - 1
        assert (pairs.driving["guide"][i, 0] - found).abs().max() < 2.5 / 64
        moved_by.append((pairs.driving["guide"][i, 0] - (torch.tensor([28.5, 36.5]) / 32 - 1)).abs().max())
    assert max(moved_by) > 2 / 64


def test_only_the_share_that_is_asked_for() -> None:
    data = clips((8,))
    made = draw_pairs(data, 64, torch.Generator().manual_seed(4), Data(moved=0.0, jitter=0.0, flip=False, reshaped=0.5))
    pairs, plain = make_pairs(data, made, CPU), data.frames(made.frames[:, 0])
    changed = (pairs.source["shape"] - plain["shape"]).abs().amax((1, 2)) > 1e-6
    assert torch.equal(changed, made.reshaped)
    assert 16 < int(changed.sum()) < 48
    same = (pairs.source["image"] - plain["image"].float() / 255).abs().amax((1, 2, 3)) < 1e-6
    assert bool(same[~made.reshaped].all())
    assert not bool(draw_pairs(data, 64, torch.Generator().manual_seed(4), Data()).reshaped.any())


def test_a_tint_changes_one_channel_of_both_images() -> None:
    data = clips((2,))
    made = draw_pairs(data, 8, torch.Generator().manual_seed(3), Data(jitter=0.0, tint=0.2, moved=0.0, flip=False))
    pairs, plain = make_pairs(data, made, CPU), data.frames(made.frames[:, 0])["image"].float() / 255
    assert not bool(made.colour[:, :3].any())
    torch.testing.assert_close(pairs.source["image"], (plain * (1 + made.colour[:, 3:, None, None])).clamp(0, 1))
