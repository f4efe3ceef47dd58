"""Which results an animator can make of a portrait's own pixels, at which side, and how they are put back."""

from __future__ import annotations

import attrs
import pytest
import torch

from mmfa_components.errors import ConfigError
from mmfa_components.records import HEAD, FaceTrack
from pipelines.config.schema import Output
from pipelines.stages.components import Facts
from pipelines.stages.paste import paste_crops
from pipelines.stages.view import Viewing, view_of, viewing_of

DETAILED = Facts({}, {}, {"name": "detailed"}, 256, HEAD, "cpu", "float32", largest_side=1024)
HOLDING = attrs.evolve(DETAILED, animator={"name": "holding"}, largest_side=256)
PLAIN = attrs.evolve(DETAILED, animator={"name": "plain"}, largest_side=0)


@pytest.mark.parametrize(
    ("facts", "frame", "side", "wanted"),
    [
        (DETAILED, "crop", "auto", None),
        (DETAILED, "crop", 256, None),
        (DETAILED, "crop", 512, Viewing(512, 512, False)),
        (DETAILED, "crop", "source", Viewing(256, 1024, False)),
        (DETAILED, "paste", "auto", Viewing(256, 1024, True)),
        (DETAILED, "paste", 256, Viewing(256, 256, True)),
        (DETAILED, "paste", 512, Viewing(512, 512, True)),
        (HOLDING, "paste", "auto", Viewing(256, 256, True)),
        (HOLDING, "crop", "auto", None),
        (PLAIN, "paste", "auto", None),
        (PLAIN, "paste", 256, None),
    ],
)
def test_what_the_output_table_asks_for(facts: Facts, frame: str, side: str | int, wanted: Viewing | None) -> None:
    assert viewing_of(Output(frame=frame, side=side), facts) == wanted  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "side", "able"),
    [(DETAILED, 2048, "256 to 1024"), (DETAILED, 128, "256 to 1024"), (HOLDING, 512, "of 256"), (PLAIN, "source", "of 256"), (PLAIN, 512, "of 256")],
)
def test_an_animator_that_cannot_says_what_it_can(facts: Facts, side: str | int, able: str) -> None:
    with pytest.raises(ConfigError, match=able) as caught:
        viewing_of(Output(side=side), facts)
    assert caught.value.where == "output.side"
    assert facts.animator["name"] in str(caught.value)


@pytest.mark.parametrize("side", [0, 63, 301, -256, "512", "large"])
def test_sides_that_are_none_are_refused(side: str | int) -> None:
    with pytest.raises(ValueError, match="auto"):
        Output(side=side)


def test_the_side_is_the_portraits_own_within_limits() -> None:
    viewing = Viewing(256, 1024, True)
    sides = [viewing.side(torch.tensor([50.0, 50.0, own, 0.0])) for own in (90, 256, 300, 512, 900.5, 3000)]
    assert sides == [256, 256, 304, 512, 912, 1024]
    assert viewing.side(torch.tensor([[0.0, 0, 300, 0], [0, 0, 400, 0]])) == 400  # a video: its largest square
    assert Viewing(512, 512, False).side(torch.tensor([0.0, 0, 90, 0])) == 512


def track(points: torch.Tensor) -> FaceTrack:
    """One frame of a face with these landmarks; what else a track holds does not matter here."""
    dtypes = {"bool": torch.bool, "int": torch.int64, "uint8": torch.uint8, "float": torch.float32}
    fields = {}
    for field in attrs.fields(FaceTrack):
        if (shape := FaceTrack.tensor_fields().get(field.name)) is not None:
            sizes = [s if isinstance(s, int) else 1 for s in shape]
            fields[field.name] = torch.zeros(sizes, dtype=dtypes[field.metadata["mmfa_dtype"]])
    return FaceTrack(**{**fields, "points": points})


def test_a_view_takes_a_few_megabytes_at_most_however_large_the_portrait() -> None:
    rgb = torch.randint(0, 255, (1, 1500, 1400, 3), dtype=torch.uint8)
    angle = torch.arange(12) * 2 * torch.pi / 12
    points = torch.stack([700 + 300 * angle.cos(), 700 + 420 * angle.sin(), 0 * angle], -1)[None]
    square = torch.tensor([700.0, 700.0, 1390.0, 0.0])
    side = Viewing(256, 1024, True).side(square)
    view = view_of(rgb, track(points), square, side, True, torch.device("cpu"))
    assert tuple(view.rgb.shape) == (1, 3, 1024, 1024)
    assert sum(t.nbytes for t in view.tensors().values()) < 6.5 * 2**20
    assert view.still[0, 0, -1].max() == 1
    assert view.still[0, 0, 32, 32] == 0
    assert view_of(rgb, track(points), square, 256, False, torch.device("cpu")).still.numel() == 0


def test_a_still_crop_leaves_the_picture_as_it_is() -> None:
    background = torch.randint(0, 255, (1, 120, 160, 3), dtype=torch.uint8)
    crops = torch.full((2, 64, 64, 3), 200, dtype=torch.uint8)
    still = torch.full((2, 16, 16), 255, dtype=torch.uint8)
    still[:, 4:12, 4:12] = 0
    place = torch.tensor([80.0, 60.0, 64.0, 0.0])
    result = paste_crops(background, crops, place, still)
    changed = (result != background).any(-1)
    assert not changed[:, :40].any()
    assert not changed[:, :, :60].any()
    assert (result[:, 48:72, 68:92] == 200).all()
    moving = paste_crops(background, crops, torch.stack([place, place + torch.tensor([8.0, 0, 0, 0])]), still)
    assert torch.equal(moving[0], result[0])
    assert (moving[1, 48:72, 76:100] == 200).all()
