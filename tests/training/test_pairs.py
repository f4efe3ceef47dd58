"""Pairs: from one clip, seeded, mirrored, moved, coloured alike, shared out among workers."""

import attrs
import torch
from tiny_training import clips

from mmfa_components.geometry.rotations import matrix_to_euler
from mmfa_components.losses.guide import GUIDE
from mmfa_components.training.clips import FaceClips, InMemory, Pairs
from mmfa_components.training.recipe import Moment
from pipelines.training import pairs as making
from pipelines.training.pairs import Draw, draw_pairs, jitter
from pipelines.training.schema import Data
from plugins.mmfa.training.recipe import LABELS

CPU = torch.device("cpu")
STILL = Data(moved=0.0, jitter=0.0)


def make_pairs(data: FaceClips, made: Draw, device: torch.device) -> Pairs:
    return making.make_pairs(data, LABELS, made, device)


def draw(frames: tuple[int, ...], count: int, seed: int = 0, **options: object) -> Draw:
    return draw_pairs(clips(frames), count, torch.Generator().manual_seed(seed), Data(**options))  # type: ignore[arg-type]


def relabelled(data: FaceClips, picture: torch.Tensor, **labels: torch.Tensor) -> FaceClips:
    """The clips with another picture and some other labels."""
    return attrs.evolve(data, images=InMemory(picture), labels={**data.labels, **labels})


def test_pairs_stay_within_one_clip_and_follow_the_seed() -> None:
    made = draw((6, 4), 64)
    assert torch.equal(made.frames[:, 0] < 6, made.frames[:, 1] < 6)
    assert set(made.frames.flatten().tolist()) == set(range(10))
    again = draw((6, 4), 64)
    assert torch.equal(made.frames, again.frames)
    assert not torch.equal(made.frames, draw((6, 4), 64, seed=1).frames)


def test_both_orders_of_two_frames_are_drawn() -> None:
    first, second = draw((2,), 64).frames.T
    assert bool((first < second).any())
    assert bool((first > second).any())


def test_longer_clips_are_drawn_more_often_as_the_square_root() -> None:
    starts = draw((16, 4), 4000).frames[:, 0]
    assert abs(float((starts < 16).float().mean()) - 4 / 6) < 0.03


def test_the_share_of_single_portraits() -> None:
    made = draw((6, 1, 1), 4000, stills=0.3)
    assert abs(float(made.single.float().mean()) - 0.3) < 0.03
    assert not bool(draw((6, 1), 200, stills=0.0).single.any())
    assert bool(draw((1, 1), 20, stills=0.0).single.all())  # there is nothing else


def test_mirroring_turns_picture_rotation_and_region() -> None:
    data = clips((8,))
    made = draw_pairs(data, 64, torch.Generator().manual_seed(1), STILL)
    pairs = make_pairs(data, made, CPU)
    found = data.frames(made.frames[:, 1])
    rgb, rotation, region = found["image"], found["rotation"], found["region"]
    yaw, own = matrix_to_euler(pairs.driving["rotation"])[0], matrix_to_euler(rotation)[0]
    assert 10 < int(made.mirrored.sum()) < 54
    for i, mirrored in enumerate(made.mirrored.tolist()):
        picture = rgb[i].float() / 255
        torch.testing.assert_close(pairs.driving["image"][i], picture.flip(-1) if mirrored else picture)
        torch.testing.assert_close(yaw[i], -own[i] if mirrored else own[i])
        assert float(pairs.driving["region"][i, 0]) == (34.0 if mirrored else 30.0)
        assert float(pairs.driving["region"][i, 3]) == float(-region[i, 3] if mirrored else region[i, 3])
    assert not bool(draw((8,), 64, flip=False).mirrored.any())


def test_the_guide_moves_with_the_picture() -> None:
    """A dot painted at a guide landmark is found where the pair says the landmark is: mirrored, turned, zoomed and shifted."""
    data = clips((1,))
    place = torch.full((1, len(GUIDE), 2), 44.5)
    place[0, 0] = torch.tensor([28.5, 36.5])
    place[0, 1] = torch.tensor([36.5, 40.5])  # the other mouth corner
    picture = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    picture[0, 0, 36, 28] = picture[0, 1, 40, 36] = 255  # red and green
    data = relabelled(data, picture, guide=place, place=torch.tensor([[28.5, 36.5, 16.0]]))
    made = draw_pairs(data, 24, torch.Generator().manual_seed(2), STILL)
    pairs = make_pairs(data, made, CPU)
    assert bool(made.mirrored.any())
    for i, mirrored in enumerate(made.mirrored.tolist()):
        for channel in (0, 1):
            y, x = divmod(int(pairs.driving["image"][i, channel].argmax()), 64)
            index = 1 - channel if mirrored else channel
            found = torch.tensor([x + 0.5, y + 0.5]) / 32 - 1
            assert (pairs.driving["guide"][i, index] - found).abs().max() < 2.5 / 64
            if channel == 0:
                assert (pairs.driving["place"][i, :2] - found).abs().max() < 2.5 / 64
    zoom = pairs.driving["place"][:, 2].exp() / 0.5  # 16 pixels are half of half the side
    torch.testing.assert_close(zoom, pairs.driving["region"][:, 2] / data.labels["region"][0, 2])
    assert float(zoom.max()) > 1.1


def test_single_portraits_are_moved_with_their_rotation_and_region() -> None:
    data = clips((1,))
    pairs = make_pairs(data, draw_pairs(data, 16, torch.Generator().manual_seed(2), attrs.evolve(STILL, flip=False)), CPU)
    _, _, roll = matrix_to_euler(pairs.driving["rotation"])
    assert roll.abs().max() > 0.1
    torch.testing.assert_close(pairs.driving["region"][:, 3] - 0.1, roll, atol=0.05, rtol=0)
    assert (pairs.source["image"] - pairs.driving["image"]).abs().mean() > 0.01


def test_colours_change_alike_in_both_images_of_a_pair() -> None:
    data = clips((2,))
    plain = make_pairs(data, made := draw_pairs(data, 8, torch.Generator().manual_seed(3), Data(jitter=0.2, moved=0.0, flip=False)), CPU)
    assert made.colour.abs().max() <= 0.2
    rgb = data.frames(made.frames[:, 0])["image"].float() / 255
    assert (plain.source["image"] - rgb).abs().mean() > 0.01
    same = made.frames[:, 0] == made.frames[:, 1]
    torch.testing.assert_close(plain.source["image"][same], plain.driving["image"][same])


def test_a_share_of_all_pairs_may_be_moved() -> None:
    data = clips((6, 1))
    made = draw_pairs(data, 400, torch.Generator().manual_seed(4), Data(moved=0.5, stills=0.2, flip=False, jitter=0.0))
    assert bool((made.moved | ~made.single).all())
    assert abs(float(made.moved[~made.single].float().mean()) - 0.5) < 0.1
    pairs = make_pairs(data, made.part(0, 20), CPU)
    still = data.frames(made.part(0, 20).frames[:, 1])["image"].float() / 255
    same = (pairs.driving["image"] - still).abs().amax((1, 2, 3)) < 1e-6
    assert torch.equal(same, ~made.part(0, 20).moved)
    assert not bool(draw_pairs(data, 50, torch.Generator().manual_seed(4), Data(stills=0.0, moved=0.0)).moved.any())


def test_jitter_by_hand() -> None:
    image = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    torch.testing.assert_close(jitter(image, torch.zeros(1, 6)), image)
    torch.testing.assert_close(jitter(image, torch.tensor([[0.5, 0, 0, 0, 0, 0]])), image * 1.5)
    grey = jitter(image, torch.tensor([[0, 0, -1.0, 0, 0, 0]]))
    torch.testing.assert_close(grey, torch.full_like(grey, 0.4))


def test_the_parts_of_all_workers_are_the_whole() -> None:
    made = draw((6, 1, 4), 12)
    shares = [made.part(rank, 3) for rank in range(3)]
    for name in (field.name for field in attrs.fields(type(made))):
        whole = torch.stack([getattr(s, name) for s in shares], 1).flatten(0, 1)
        assert torch.equal(whole, getattr(made, name)), name


def test_the_random_numbers_of_a_step_depend_on_seed_step_and_attempt() -> None:
    states = [tuple(torch.rand(3, generator=Moment(*key).generator()).tolist()) for key in ((0, 1), (0, 2), (1, 1), (0, 1, 1), (0, 1))]
    assert len(set(states)) == 4
    assert states[0] == states[4]
