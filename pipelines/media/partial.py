"""Files in the making: written beside their final name and renamed when complete, so nothing half-written is ever seen."""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from mmfa_components.errors import OutputError, reason_of
from mmfa_components.processes import process_alive, process_mark, process_place

_PARTIAL = re.compile(r"^\..+\.part-(?:(?P<place>[0-9a-f]{8})-)?(?P<process>\d+)-[0-9a-f]+(\.[^.]+)?$")
FOREIGN_AGE = 86400.0
"""Seconds without a change after which another host's unfinished file counts as left behind."""


def partial_name(path: Path) -> Path:
    """A name for ``path`` in the making, in the same folder: hidden, saying which process makes it, with the same suffix."""
    return path.with_name(f".{path.stem}.part-{process_mark()}{path.suffix}")


def make_folder(folder: Path) -> None:
    """Create an output folder. Raises OutputError when it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, folder) from error


def output_error(error: OSError, path: Path) -> OutputError:
    """What went wrong while writing ``path``, and what to do."""
    known = {
        errno.ENOSPC: ("no space is left on the device", "free some space or choose another output folder, then run again"),
        errno.EDQUOT: ("the disk quota is used up", "free some space or choose another output folder, then run again"),
        errno.EROFS: ("the file system is read-only", "choose an output folder that can be written"),
        errno.EACCES: ("no permission to write here", "choose an output folder that can be written"),
        errno.EPERM: ("no permission to write here", "choose an output folder that can be written"),
        errno.ENOTDIR: ("part of the path is a file, not a folder", "choose another output folder"),
        errno.EEXIST: ("a file of that name is in the way", "choose another output folder"),
    }
    what, fix = known.get(error.errno or 0, (f"could not be written ({reason_of(error)})", "check the output folder"))
    return OutputError(what, where=str(path), fix=fix)


def publish(partial: Path, path: Path) -> None:
    """Give a finished file its final name. Raises OutputError."""
    try:
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise output_error(error, path) from error


def seal_and_publish(partial: Path, path: Path, seal: Callable[[Path], None] | None) -> None:
    """``seal`` a finished file, then give it its final name. Raises OutputError; then the file is removed."""
    try:
        if seal is not None:
            seal(partial)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    publish(partial, path)


def remove_leftovers(folder: Path) -> list[Path]:
    """Remove files that killed processes left in the making; gives the removed ones.

    What processes elsewhere (another host or container on the same disk) have in the making is left alone while it changes; it
    counts as left behind when nothing was written to it for a day.
    """
    removed = []
    for path in folder.glob(".*.part-*"):
        match = _PARTIAL.match(path.name)
        if match is None:
            continue
        try:
            here = match["place"] == process_place()
            gone = not process_alive(int(match["process"])) if here else time.time() - path.stat().st_mtime > FOREIGN_AGE
            if gone:
                path.unlink(missing_ok=True)
                removed.append(path)
        except OSError:
            continue
    return removed
