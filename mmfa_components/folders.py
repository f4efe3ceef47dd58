"""Where MMFA keeps what it makes for itself between runs: motion and fetched weights, in the folders this system has for that."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

CACHE_VARIABLE = "MMFA_CACHE"
WEIGHTS_VARIABLE = "MMFA_WEIGHTS"
PROJECT = Path(".cache/mmfa")
"""A motion cache of the working directory's own; used where this folder exists."""


def motion_folder() -> Path:
    """The motion cache: $MMFA_CACHE, else ./.cache/mmfa where that exists, else ``mmfa/motion`` in the user's cache folder."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given).expanduser()
    user = user_cache_path("mmfa")
    own = PROJECT.is_dir() and PROJECT.resolve() != user.resolve()  # in the home folder they are one
    return PROJECT if own else user / "motion"


def weights_folder() -> Path:
    """Weights that were fetched: $MMFA_WEIGHTS, else ``mmfa/weights`` in the user's cache folder."""
    given = os.environ.get(WEIGHTS_VARIABLE)
    return Path(given).expanduser() if given else user_cache_path("mmfa") / "weights"
