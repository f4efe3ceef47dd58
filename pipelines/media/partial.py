"""Files in the making: written beside their final name and renamed when complete, so nothing half-written is ever seen."""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path

from mmfa_components.errors import OutputError, reason_of

_PARTIAL = re.compile(r"^\..+\.part-(\d+)-[0-9a-f]+(\.[^.]+)?$")


def partial_name(path: Path) -> Path:
    """A name for ``path`` in the making, in the same folder: hidden, with this process's id, with the same suffix."""
    return path.with_name(f".{path.stem}.part-{os.getpid()}-{secrets.token_hex(4)}{path.suffix}")


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
    """Remove files that killed processes of this machine left in the making; gives the removed ones."""
    removed = []
    for path in folder.glob(".*.part-*"):
        match = _PARTIAL.match(path.name)
        if match and not process_alive(int(match.group(1))):
            path.unlink(missing_ok=True)
            removed.append(path)
    return removed


def process_alive(process: int) -> bool:
    """Whether a process of this number is running."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
