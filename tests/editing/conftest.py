"""The disc system's media and pipelines for edits."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from disc_face import Disc, disc_registry
from disc_media import swinging, write_clip, write_portrait
from rich.console import Console

from mmfa_components.registry import Registry
from pipelines.kinds import kind_of

TABLES = """
face.detector.name = "disc"
face.landmarks.name = "disc"
animator.name = "disc"
engine.device = "cpu"
engine.precision = "float32"
engine.span = 7
output.folder = "{here}/out"
output.quality = 6
"""


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a portrait, a driving clip, a second clip and a video to use as source."""
    folder = tmp_path_factory.mktemp("edit_discs")
    write_portrait(folder / "red.png", Disc(60, 50, 20, yaw=0.1, smile=0.5, tint=0.1))
    write_clip(folder / "swing.mp4", swinging(20))
    write_clip(folder / "other.mp4", [[Disc(80, 60, 20 + i, 0.0, 0.1 + 0.08 * i)] for i in range(8)])
    write_clip(folder / "source.mp4", [[Disc(70 + i, 55, 20, 0.03 * i, 0.3, 0.2)] for i in range(12)])
    return folder


@pytest.fixture
def registry() -> Registry:
    """The disc system only."""
    return disc_registry()


Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, registry: Registry) -> Run:
    """Write a pipeline file of a kind, load and run it; gives the report. ``screen`` of the function holds what was printed."""

    def go(kind: str, text: str, *overrides: str, tables: str = TABLES) -> Any:
        path = tmp_path / f"{kind}.toml"
        cache = '\ncache.folder = "{here}/cache"\n' if kind == "edit" else ""
        path.write_text(f'kind = "{kind}"\n{tables}{cache}\n{text}', encoding="utf-8")
        chosen = kind_of(path, overrides)
        plan = chosen.load(path, overrides, registry)
        screen = io.StringIO()
        report = chosen.run(plan, registry, Console(file=screen, width=200))
        go.screen = screen.getvalue()  # type: ignore[attr-defined]
        return report

    return go
