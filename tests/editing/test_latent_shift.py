"""Edits along the expression's latent space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from disc_face import disc_registry
from line_vae import LineVAE, with_line_vae

from mmfa_components.errors import ConfigError
from mmfa_components.records import HEAD, Motion, RegionalMotion
from mmfa_components.registry import Registry
from pipelines.editing.latent_shift import LatentSpace


@pytest.fixture
def registry() -> Registry:
    """The disc system with a latent space of its smile."""
    return with_line_vae(disc_registry())


def green(path: str) -> float:
    from disc_face import disc_registry

    from mmfa_components.records import Frames, Landmarks
    from pipelines.media import read_image

    animator = disc_registry().build("animator", "disc", {}, disc_registry().context())
    crops = Frames(read_image(Path(path)).rgb.permute(2, 0, 1)[None].float() / 255)
    return float(animator.decompose(crops, Landmarks(torch.zeros(1, 8, 3), torch.ones(1))).expression)


def test_a_shift_moves_the_expression_of_the_result_and_is_part_of_its_key(run: Any, media: Path) -> None:
    inputs = f'vae.name = "line"\ninputs.sources = ["{media / "red.png"}"]\n'
    plain, shifted = run("edit", inputs), run("edit", inputs + '[motion.latent]\n"0" = 2.0\n')
    assert [r.jobs[0].status for r in (plain, shifted)] == ["done", "done"]  # not "skipped": another key
    assert plain.jobs[0].key != shifted.jobs[0].key
    first = green(plain.jobs[0].output)  # the same file, made anew
    assert first == pytest.approx(0.45 + 0.2, abs=0.02)


def test_what_the_space_does_not_have_is_said(run: Any, media: Path) -> None:
    inputs = f'vae.name = "line"\ninputs.sources = ["{media / "red.png"}"]\n'
    failed = run("edit", inputs + '[motion.latent]\n"7" = 1.0\n').jobs[0]
    assert failed.status == "failed"
    assert failed.error.what == "the latent space has no unit 7"
    with pytest.raises(ConfigError, match="'smile' is no number of a unit"):
        run("edit", inputs + "[motion.latent]\nsmile = 1.0\n")
    with pytest.raises(ConfigError, match="vae"):
        run("edit", inputs.replace("line", "curve") + '[motion.latent]\n"0" = 1.0\n')


def test_eyes_and_mouth_are_moved_along_and_nothing_else(registry: Registry) -> None:
    space = LatentSpace(LineVAE(None, None), {})
    rows = torch.tensor([[0.3], [0.4]])
    pose = torch.eye(3).expand(2, 3, 3), torch.ones(2), torch.zeros(2, 3)
    got = space.shift(RegionalMotion(*pose, rows, rows + 0.1, rows - 0.1), {"0": -1.0}, HEAD)
    assert isinstance(got, RegionalMotion)
    for name, before in (("expression", rows), ("eyes", rows + 0.1), ("mouth", rows - 0.1)):
        torch.testing.assert_close(getattr(got, name), before - 0.1)
    motion = Motion(*pose, rows)
    assert space.shift(motion, {"0": 0.0}, HEAD) is motion
    assert space.strongest(3, 1) == [0]
    with pytest.raises(ConfigError, match="does not take this animator's features of 2 numbers"):
        space.size(2)
