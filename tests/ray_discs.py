"""The disc system with accidents, for tests of the Ray engine; in a module of its own, so that worker processes can import it.

What a part of it did is written as lines into the file ``log`` in the folder of the options: what, where, and how many frames.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path
from typing import Any

import attrs
import disc_face
from disc_face import Tint
from disc_media import disc_plan

from mmfa_components import records as r
from mmfa_components.hookspecs import hookimpl
from mmfa_components.kinds import ComponentSpec, Context
from mmfa_components.registry import Plugin, Registry, inspect_plugin
from pipelines.config.schema import Part, Plan

ROOT = Path(__file__).parents[1]
PATHS = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
POISON_TINT = 1.0
"""Tint of a clip that brings its worker down, when the option ``poison`` is set."""


@attrs.frozen
class Accidents:
    """What happens, noted in ``folder`` (a folder, so that what is in it does not count as part of the options).

    die_once: the first render of all kills its worker.  slow: seconds a rendered batch takes; slow_by: more of them on one worker.
    full: one worker's disk is full.  poison: a worker that decomposes a face of POISON_TINT dies.  together: a render waits, at most half a
    minute, until so many workers have begun one, so that a worker that was slow to start is not left without work.
    """

    folder: str = ""
    die_once: bool = False
    slow: float = 0.0
    slow_by: float = 0.0
    full: bool = False
    poison: bool = False
    together: int = 0


class Animator(disc_face.Animator):
    """A disc animator that meets with accidents."""

    def __init__(self, options: Accidents, context: Context) -> None:
        super().__init__(disc_face.AnimatorOptions(), context)
        self.accidents = options

    def encode(self, crops: r.Frames, landmarks: r.Landmarks) -> Tint:
        self._log("encode", len(crops))
        return super().encode(crops, landmarks)

    def decompose(self, crops: r.Frames, landmarks: r.Landmarks) -> r.Motion:
        if self.accidents.poison and float(self._measure(crops)[6].mean()) > 0.6 * POISON_TINT - 0.06:
            self._log("poison", len(crops))
            os.kill(os.getpid(), signal.SIGKILL)
        self._log("decompose", len(crops))
        return super().decompose(crops, landmarks)

    def render(self, identity: Tint, source: r.Motion, driving: r.Motion) -> r.Frames:
        a = self.accidents
        if a.die_once and self._first("died"):
            self._log("die", len(driving))
            os.kill(os.getpid(), signal.SIGKILL)
        if a.full and self._is_chosen("full"):
            self._log("full", len(driving))
            raise OSError(errno.ENOSPC, "No space left on device")
        self._wait_for_others()
        time.sleep(a.slow + (a.slow_by if a.slow_by and self._is_chosen("slow") else 0.0))
        frames = super().render(identity, source, driving)
        self._log("render", len(driving))
        return frames

    def _wait_for_others(self) -> None:
        """Until ``together`` processes have been here."""
        if not self.accidents.together:
            return
        begun = Path(self.accidents.folder)
        (begun / f"begun_{os.getpid()}").touch()
        deadline = time.monotonic() + 30
        while len(list(begun.glob("begun_*"))) < self.accidents.together and time.monotonic() < deadline:
            time.sleep(0.02)

    def _first(self, name: str) -> bool:
        """Whether no process has asked this before."""
        try:
            os.mkdir(Path(self.accidents.folder) / name)
        except FileExistsError:
            return False
        return True

    def _is_chosen(self, name: str) -> bool:
        """Whether this process is the one of all that asked first."""
        if self._first(name):
            self.chosen = name
        return getattr(self, "chosen", "") == name

    def _log(self, what: str, frames: int) -> None:
        if self.accidents.folder:
            with open(Path(self.accidents.folder) / "log", "a") as file:  # one short write: lines of several processes do not mix
                file.write(f"{what} {os.getpid()} {frames}\n")


@hookimpl
def mmfa_components() -> list[ComponentSpec]:
    """The animator "risky"."""
    return [ComponentSpec("animator", "risky", Animator, (r.Frames, r.Landmarks), (Tint, r.Motion, r.Frames), Accidents)]


def risky_registry() -> Registry:
    """The disc system with the animator "risky" beside its own."""
    import sys

    registry = disc_face.disc_registry()
    registry.add(inspect_plugin(Plugin("risky", "tests", "1", Path(__file__).name), sys.modules[__name__]))
    return registry


def ray_plan(folder: Path, sources: list[Path], driving: list[Path], options: dict[str, Any] | None = None, **changes: Any) -> Plan:
    """A disc plan on the Ray engine, with accidents."""
    from pipelines.config.schema import Ray

    ray = {"cpus": 1.0, **changes.pop("ray", {})}
    folder.mkdir(parents=True, exist_ok=True)
    engine = {"name": "ray", "threads": 1, "ray": Ray(**ray), **changes.pop("engine", {})}
    return disc_plan(folder, sources, driving, animator=Part("risky", {"folder": str(folder), **(options or {})}), engine=engine, **changes)


def log_lines(folder: Path) -> list[tuple[str, int, int]]:
    """What the workers did: what, process, frames."""
    try:
        rows = (folder / "log").read_text().split("\n")
    except FileNotFoundError:
        return []
    return [(what, int(process), int(frames)) for what, process, frames in (row.split() for row in rows if row)]


def frames_of(folder: Path, what: str) -> int:
    """Frames that went through one part."""
    return sum(frames for name, _, frames in log_lines(folder) if name == what)
