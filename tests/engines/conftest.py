"""Portraits and clips of the disc system, made once."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import attrs
import pytest
from disc_face import Disc, disc_registry
from disc_media import swinging, write_clip, write_portrait
from rich.console import Console

from mmfa_components.registry import Registry
from pipelines.engines import ray_pool


@attrs.frozen
class Media:
    """Small inputs that are fine."""

    red: Path
    blue: Path
    swing: Path
    short: Path
    video_source: Path


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No unit counts as slow only because this machine is busy with other tests."""
    monkeypatch.setattr(ray_pool, "SLOW_AT_LEAST", 60.0)


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Media:
    """Two portraits, two driving clips, one video to use as source."""
    folder = tmp_path_factory.mktemp("discs")
    moving = [[Disc(70 + i, 55, 20, 0.02 * i, 0.3, 0.2)] for i in range(12)]
    return Media(
        write_portrait(folder / "red.png", Disc(60, 50, 20, yaw=0.1, tint=0.1)),
        write_portrait(folder / "blue.png", Disc(90, 70, 26, tint=0.7)),
        write_clip(folder / "swing.mp4", swinging(27)),
        write_clip(folder / "short.mp4", swinging(8)),
        write_clip(folder / "source.mp4", moving),
    )


@pytest.fixture
def registry() -> Registry:
    """A registry with the disc system only."""
    return disc_registry()


@attrs.define
class Screen:
    """A console that keeps what is printed."""

    console: Console
    buffer: StringIO

    @property
    def text(self) -> str:
        return self.buffer.getvalue()


@pytest.fixture
def screen() -> Screen:
    """Not a terminal: progress is plain lines."""
    buffer = StringIO()
    return Screen(Console(file=buffer, width=200), buffer)
