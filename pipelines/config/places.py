"""Paths in pipeline files: what ``{here}``, ``{demo}`` and ``{cache}`` stand for."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mmfa_components.folders import motion_folder

HERE = "{here}"
DEMO = "{demo}"
CACHE = "{cache}"
DEMO_FOLDER = Path(__file__).parents[1] / "demo"
"""The portraits and clips that come with MMFA; their sources and licences are in NOTICE."""


def local(text: str) -> str:
    """The path of a ``file://`` URL; any other text as it is."""
    if not text.casefold().startswith("file://"):
        return text
    return unquote(urlsplit(text).path)


def filled(text: str, here: Path | str) -> str:
    """``text`` with ``{here}`` (folder of the file), ``{demo}`` (demo media), ``{cache}`` (motion cache) replaced; a ``file://`` URL as path."""
    text = local(text)
    for mark, folder in ((HERE, here), (DEMO, DEMO_FOLDER)):
        text = text.replace(mark, str(folder))
    return text.replace(CACHE, str(motion_folder())) if CACHE in text else text


def place(text: str, here: Path | str) -> Path:
    """A path of a pipeline file: places and ``~`` filled in, ``..`` after a place taken out."""
    path = Path(filled(text, here)).expanduser()
    return Path(os.path.normpath(path)) if HERE in text or DEMO in text else path


def pattern(text: str, here: Path) -> str:
    """A glob of a pipeline file as :func:`place` gives it; special characters in the places' own paths are escaped."""
    text = local(text).replace(HERE, glob.escape(str(here))).replace(DEMO, glob.escape(str(DEMO_FOLDER)))
    return os.path.normpath(Path(text).expanduser())


def cache_folder(text: str) -> str:
    """The folder of a motion cache, ``{cache}`` filled in."""
    return filled(text, "")
