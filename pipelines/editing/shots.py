"""Single faces to work on: pictures, or frames of videos written as ``clip.mp4#120``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from mmfa_components.errors import MMFAError
from pipelines.config.faults import Faults
from pipelines.config.inputs import find_files
from pipelines.config.places import place
from pipelines.media import probe


@attrs.frozen
class Shot:
    """A picture (``frame`` is None) or one frame of a video."""

    path: Path
    frame: int | None = None

    @property
    def name(self) -> str:
        """What it is called in grids."""
        return self.path.name if self.frame is None else f"{self.path.name}#{self.frame}"


def find_shots(patterns: Sequence[str], where: str, here: Path, frames: int, faults: Faults) -> list[Shot]:
    """Shots behind paths and globs; of a video without ``#frame`` so many frames, evenly spread. Faults are noted."""
    shots: list[Shot] = []
    for number, pattern in enumerate(patterns):
        text, mark, frame = pattern.rpartition("#")
        if mark and frame.isdecimal() and not place(pattern, here).exists():
            shots += [Shot(path, int(frame)) for path in find_files([text], f"{where}[{number}]", here, faults)]
            continue
        for path in find_files([pattern], f"{where}[{number}]", here, faults):
            shots += spread(path, frames)
    return list(dict.fromkeys(shots))


def spread(path: Path, frames: int) -> list[Shot]:
    """A picture, or ``frames`` frames of a video, evenly spread without its ends; a file that cannot be read is left for the run to tell."""
    try:
        info = probe(path)
    except MMFAError:
        return [Shot(path)]
    if info.kind == "image":
        return [Shot(path)]
    count = info.frames or 1
    return [Shot(path, min(count - 1, round((i + 0.5) * count / frames))) for i in range(frames)]
