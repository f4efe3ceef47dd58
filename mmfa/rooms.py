"""MMFA's own packages have everyday names; this sees to it that a ``cache.py`` of the user's is not taken for one of them."""

from __future__ import annotations

import importlib.machinery
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType

ROOMS = ("mmfa_components", "plugins", "pipelines", "cache")
ROOT = Path(__file__).parents[1]


class RoomFinder(MetaPathFinder):
    """Finds MMFA's packages beside this one, whatever stands before them on ``sys.path``."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        """The package's place; None for every other module."""
        if path is not None or fullname not in ROOMS:
            return None
        return importlib.machinery.PathFinder.find_spec(fullname, [str(ROOT)])


def install() -> None:
    """Put the finder first, once.

    Raises ImportError when a module of the user's already goes by the name of one of ours: both cannot be had in one program.
    """
    for name in ROOMS:
        module = sys.modules.get(name)
        places = [] if module is None else list(getattr(module, "__path__", [getattr(module, "__file__", "")]))
        if module is not None and str(ROOT / name) not in places:
            where = getattr(module, "__file__", None) or ", ".join(places)
            text = f"MMFA has a package called {name!r}, but this program has already imported another one: {where}"
            raise ImportError(f"{text}\n  -> import mmfa before it, or rename yours")
    if not any(isinstance(finder, RoomFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, RoomFinder())
