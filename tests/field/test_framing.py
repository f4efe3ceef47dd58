"""Kind 17: the square of a close-up moves and shrinks to stay in the picture; what is missing is filled without streaks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from disc_face import Disc
from disc_media import disc_plan, swinging, write_clip, write_portrait
from field_media import WOMAN, pictures

from mmfa_components.registry import Registry
from pipelines.runs.run import run_plan
from pipelines.stages.crop import crop_frames
from pipelines.stages.framing import LARGEST_FACE, OUTSIDE, fit_square, outside_share

CPU = torch.device("cpu")


def square_of(face: torch.Tensor, ratio: float = 0.58) -> torch.Tensor:
    side = (face[3] - face[1]) / ratio
    return torch.stack([(face[0] + face[2]) / 2, (face[1] + face[3]) / 2 - 0.034 * side, side, torch.zeros(())])


@pytest.mark.parametrize("face", [(180.0, 60.0, 380.0, 320.0), (20.0, 80.0, 180.0, 280.0), (440.0, 20.0, 620.0, 250.0), (250.0, 200.0, 380.0, 358.0)])
def test_a_square_that_reaches_beyond_the_picture_is_fitted_to_it(face: tuple[float, ...]) -> None:
    box = torch.tensor(face)
    square = square_of(box)
    fitted = fit_square(square, box, 640, 360)
    assert outside_share(square, 640, 360) > OUTSIDE
    assert outside_share(fitted, 640, 360) <= OUTSIDE + 1e-4
    low, high = fitted[:2] - fitted[2] / 2, fitted[:2] + fitted[2] / 2
    assert bool((low < box[:2]).all()) and bool((high > box[2:]).all())  # noqa: PT018
    assert (box[3] - box[1]) / fitted[2] <= LARGEST_FACE + 1e-4


def test_a_square_inside_is_left_alone() -> None:
    box = torch.tensor([260.0, 120.0, 360.0, 240.0])
    assert fit_square(square_of(box), box, 640, 360) is not None
    assert torch.equal(fit_square(square_of(box), box, 640, 360), square_of(box))


def test_what_is_outside_has_no_streaks() -> None:
    woman = torch.from_numpy(pictures(WOMAN, 1, 125)[0])
    square = torch.tensor([470.0, 200.0, 460.0, 0.0])
    streaked = crop_frames(woman[None], square, 256, CPU).rgb[0]
    filled = crop_frames(woman[None], square, 256, CPU, fill=True).rgb[0]
    y, x = torch.meshgrid(*(square[1 - k] - square[2] / 2 + (torch.arange(256) + 0.5) * square[2] / 256 for k in (0, 1)), indexing="ij")
    inside = (x > 4) & (x < 636) & (y > 4) & (y < 356)
    torch.testing.assert_close(filled[:, inside], streaked[:, inside], atol=2e-3, rtol=0)
    top = (y < -8) & (x > 0) & (x < 640)
    along = (streaked[:, 1:] - streaked[:, :-1]).abs()[:, top[1:]].mean()
    across = (streaked[:, :, 1:] - streaked[:, :, :-1]).abs()[:, top[:, 1:]].mean()
    softer = (filled[:, :, 1:] - filled[:, :, :-1]).abs()[:, top[:, 1:]].mean()
    assert along < 1e-6 < across, "what streaks are"
    assert softer < across / 2
    edge = (filled[:, 1:] - filled[:, :-1]).abs().amax()
    assert edge < 0.6, "no seam where the picture ends"


def test_a_picture_much_of_whose_crop_is_made_up_is_told(tmp_path: Path, registry: Registry, screen: Any) -> None:
    near = write_portrait(tmp_path / "near.png", Disc(80, 60, 58))
    far = write_portrait(tmp_path / "far.png", Disc(80, 60, 20))
    report = run_plan(disc_plan(tmp_path, [near, far], [write_clip(tmp_path / "a.mp4", swinging(4))]), registry, screen.console)
    assert report.exit_code == 0, screen.text
    assert len(report.jobs[0].warnings) == 1
    assert "of the crop lies outside of the picture" in report.jobs[0].warnings[0]
    assert report.jobs[1].warnings == []
    assert screen.text.count("lies outside of the picture") == 1


def test_the_last_frame_of_a_shorter_source_is_held_and_told(tmp_path: Path, registry: Registry, screen: Any) -> None:
    source, clip = write_clip(tmp_path / "short.mp4", swinging(5)), write_clip(tmp_path / "long.mp4", swinging(12))
    report = run_plan(disc_plan(tmp_path, [source], [clip]), registry, screen.console)
    assert report.jobs[0].warnings == ["short.mp4: ends after 0.20 s, before the driving clip does; its last frame is held"]
