"""Labels say how they change with the pictures: mirrored twice they are what they were, and they move as the picture does."""

from __future__ import annotations

import pickle

import pytest
import torch
from tiny_training import parts, pipeline
from torch import Tensor

from mmfa_components.geometry.rotations import matrix_to_euler
from mmfa_components.training.labels import Image, Label, PictureMove
from pipelines.training.pairs import PICTURES
from plugins.mmfa.training.recipe import LABELS

SIDE = 64
ALL: dict[str, Label] = {"image": PICTURES, **LABELS}


def rows(name: str) -> Tensor:
    found = parts((5,))[0][name]
    return found.float() / 255 if name == "image" else found


def turn(angle: float = 0.2, zoom: float = 1.25, shift: tuple[float, float] = (0.1, -0.05)) -> PictureMove:
    full = torch.ones(5)
    return PictureMove(angle * full, zoom * full, torch.tensor([shift]).expand(5, 2), SIDE, full.bool())


@pytest.mark.parametrize("name", ALL)
def test_mirrored_twice_a_label_is_what_it_was(name: str) -> None:
    label, given = ALL[name], rows(name)
    once = label.mirrored(given, SIDE)
    assert once.shape == given.shape
    assert not torch.equal(once, given)
    torch.testing.assert_close(label.mirrored(once, SIDE), given)


@pytest.mark.parametrize("name", [name for name in ALL if name != "image"])
def test_no_move_changes_nothing(name: str) -> None:
    still = turn(0.0, 1.0, (0.0, 0.0))
    torch.testing.assert_close(ALL[name].moved(rows(name), still), rows(name), atol=1e-4, rtol=1e-5)


def test_places_squares_and_points_move_alike() -> None:
    move, guide = turn(), rows("guide")
    moved = LABELS["guide"].moved(guide, move)
    square = torch.cat([guide[:, 0], torch.full((5, 1), 20.0), torch.full((5, 1), 0.3)], 1)
    square = LABELS["region"].moved(square, move)
    place = LABELS["place"].moved(torch.cat([guide[:, 0], torch.full((5, 1), 20.0)], 1), move)
    for found in (square, place):
        torch.testing.assert_close(found[:, :2], moved[:, 0])
        torch.testing.assert_close(found[:, 2], torch.full((5,), 25.0))
    torch.testing.assert_close(square[:, 3], torch.full((5,), 0.5))
    roll = matrix_to_euler(LABELS["rotation"].moved(torch.eye(3).expand(5, 3, 3), move))[2]
    torch.testing.assert_close(roll, torch.full((5,), 0.2))
    distance = (guide[:, 0] - guide[:, 1]).norm(dim=-1)
    torch.testing.assert_close((moved[:, 0] - moved[:, 1]).norm(dim=-1), 1.25 * distance)


def test_a_picture_of_another_label_moves_with_the_picture() -> None:
    """A mask is one row more: an Image, resampled in the same pass; frames that do not move are left as they are."""
    mask = torch.zeros(2, 1, SIDE, SIDE)
    mask[:, :, 20:30, 34:44] = 1
    move = PictureMove(torch.zeros(2), torch.ones(2), torch.tensor([[0.25, 0.0], [0.0, 0.0]]), SIDE, torch.tensor([True, False]))
    moved = Image(lambda faces: faces.points).moved(mask, move)
    assert torch.equal(moved[1], mask[1])
    torch.testing.assert_close(moved[0, :, 20:30, 42:52], mask[0, :, 20:30, 34:44])


def test_points_are_handed_over_relative_and_squares_in_pixels() -> None:
    guide = LABELS["guide"].relative(torch.tensor([[[0.0, 32.0], [64.0, 48.0]]]), SIDE)
    assert guide.tolist() == [[[-1.0, 0.0], [1.0, 0.5]]]
    place = LABELS["place"].relative(torch.tensor([[48.0, 16.0, 32.0]]), SIDE)
    assert place.tolist() == [[0.5, -0.5, 0.0]]
    assert torch.equal(LABELS["region"].relative(rows("region"), SIDE), rows("region"))


def test_a_pipeline_with_the_tables_of_a_recipe_travels_to_workers(tmp_path) -> None:
    made = pipeline(tmp_path)
    again = pickle.loads(pickle.dumps(made))
    assert again == made
    assert type(again) is type(made)
    assert again.losses == made.losses
