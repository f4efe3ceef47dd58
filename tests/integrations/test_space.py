"""What the Gradio page does with what its visitors send, on the disc system."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from disc_face import Disc, disc_registry, draw
from disc_media import disc_plan, swinging, write_clip

import mmfa
from mmfa_components.errors import NoFaceError
from pipelines.media import probe

APP = Path(__file__).parents[2] / "integrations" / "space" / "app.py"


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    spec = importlib.util.spec_from_file_location("mmfa_space_app", APP)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    plan = disc_plan(tmp_path, [], [])
    with mmfa.Predictor(plan.pipeline, disc_registry()) as made:
        monkeypatch.setattr(module, "predictor", lambda: made)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        yield module


ME = draw([Disc(70, 60, 22, tint=0.3)], 160, 120).numpy()


def test_a_picture_is_turned_and_notes_are_told(app: Any) -> None:
    made, note = app.pose(ME, 10, 0, 0, False)
    assert made.shape == (64, 64, 3)
    assert note == ""
    made, note = app.pose(ME, 40, 0, 0, True)
    assert made.shape == (120, 160, 3)
    assert "yaw is up to 40 degrees" in note


def test_a_clip_moves_it(app: Any, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "swing.mp4", swinging(6))
    made, note = app.animate(ME, str(clip), "relative", "source", False)
    assert probe(Path(made)).frames == 6
    assert note == ""


def test_what_is_missing_or_too_long_is_told(
    app: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = str(write_clip(tmp_path / "swing.mp4", swinging(6)))
    for given in ((None, clip), (ME, None)):
        with pytest.raises(mmfa.MMFAError, match="are needed"):
            app.animate(*given, "relative", "relative", False)
    with pytest.raises(mmfa.MMFAError, match="no portrait"):
        app.pose(None, 0, 0, 0, False)
    with pytest.raises(NoFaceError):
        app.pose(ME * 0, 0, 0, 0, False)
    monkeypatch.setattr(app, "MOST_SECONDS", 0.1)
    with pytest.raises(mmfa.MMFAError, match=r"at most"):
        app.animate(ME, clip, "relative", "relative", False)
