"""What finds faces for real, the disc system for what moves them, and a screen."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path

import attrs
import pytest
import torch
from disc_face import disc_registry
from rich.console import Console

from mmfa_components.records import FaceTrack
from mmfa_components.registry import Registry, load_registry
from pipelines.config.schema import Face
from pipelines.media import probe
from pipelines.stages.components import build_finder
from pipelines.stages.track import TrackUnit, track_clip
from pipelines.stages.worker import Worker


@pytest.fixture(scope="session")
def finder() -> Worker:
    """A worker with the shipped detector and landmark network."""
    registry = load_registry()
    found, _ = build_finder(Face(), registry, registry.context(torch.device("cpu"), torch.float32, {}))
    return Worker(found, batch=4)


@pytest.fixture(scope="session")
def follow(finder: Worker) -> Callable[..., FaceTrack]:
    """``follow(path, **face)``: the track of a clip at the default options."""

    def track(path: Path, **options: object) -> FaceTrack:
        info = probe(path)
        unit = TrackUnit(path, Face(**options), info.width, info.height)  # type: ignore[arg-type]
        with torch.inference_mode():
            return FaceTrack.concatenate([row for step in track_clip(finder, unit) for row in step.rows])

    return track


@pytest.fixture
def registry() -> Registry:
    """The disc system only."""
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
    return Screen(Console(file=buffer, width=250), buffer)
