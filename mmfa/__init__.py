"""MMFA: portraits moved by clips; rotation, translation, scale and expression are separate.

The command is ``mmfa`` (``mmfa --help``). From Python (docs/api.md)::

    import mmfa

    predictor = mmfa.load()
    me = predictor.portrait("me.jpg")
    turned = predictor.pose(me, yaw=-15)
    predictor.animate(me, "clip.mp4", out="me.mp4")

The packages behind it are described in docs/architecture.md.
"""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from mmfa import rooms

if TYPE_CHECKING:
    from mmfa.live import Live
    from mmfa.loading import load
    from mmfa.portrait import MMFAWarning, Portrait
    from mmfa.predictor import Predictor
    from mmfa_components.errors import MMFAError

__all__ = ["Live", "MMFAError", "MMFAWarning", "Portrait", "Predictor", "__version__", "load"]
__version__ = version("mmfa")
_PLACES = {
    "Live": "mmfa.live",
    "MMFAError": "mmfa_components.errors",
    "MMFAWarning": "mmfa.portrait",
    "Portrait": "mmfa.portrait",
    "Predictor": "mmfa.predictor",
    "load": "mmfa.loading",
}

rooms.install()


def __getattr__(name: str) -> Any:
    """Names of the API, imported when they are asked for, so that the command starts at once."""
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'mmfa' has no attribute {name!r}")
