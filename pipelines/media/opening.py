"""Opening files for FFmpeg by their path, whatever bytes the path is made of."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import av
from av.stream import Disposition

from mmfa_components.errors import MediaError


def open_input(path: Path) -> Any:
    """Open a container for reading; a name is never taken for a URL. Raises what av.open raises."""
    try:
        return av.open("file:" + os.fsencode(path).decode("utf-8"))
    except UnicodeDecodeError:  # no text: FFmpeg is handed the opened file
        return av.open(path.open("rb"))


def open_container(path: Path) -> Any:
    """As :func:`open_input`. Raises MediaError with the likely cause."""
    try:
        return open_input(path)
    except (OSError, ValueError) as error:
        text = str(error)
        cause = "the file is cut off or damaged" if "moov" in text or "Invalid data" in text else text
        what = f"is no readable video or image ({cause})"
        raise MediaError(what, where=str(path), fix="copy it again, or convert it to MP4 or PNG") from error


def picture_stream(container: Any) -> Any:
    """The stream that holds the moving picture, not a cover or thumbnail. None without any."""
    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    return moving[0] if moving else None


def open_output(path: Path, options: dict[str, str]) -> Any:
    """Open a container for writing; a name is never taken for a URL. Raises what av.open raises."""
    return av.open("file:" + str(path), "w", options=options)
