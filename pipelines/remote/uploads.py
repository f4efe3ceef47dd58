"""Finished results to their URLs. An object appears whole or not at all; its marker, written last, says what it was made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmfa_components.errors import OutputError
from pipelines.remote.staging import OUT, is_staged, open_file_system, url_of

FIX = "check the URL, the connection and your permissions, then run again: finished results are kept"


def is_uploaded(path: Path) -> bool:
    """Whether a result of this path belongs at a URL."""
    return is_staged(Path(path), OUT)


def marker_of(url: str) -> str:
    """The URL of a result's marker."""
    folder, name = url.rsplit("/", 1)
    return f"{folder}/.mmfa/{name}.json"


def upload(path: Path, notes: Mapping[str, str] | None = None, keep: bool = False) -> None:
    """Put a finished file at its URL, then its marker when it has ``notes``; without ``keep`` the local file goes.

    Does nothing for paths that stand for no URL. Raises OutputError; the old result, if any, is then without a marker or whole.
    """
    if not is_uploaded(path):
        return
    url = url_of(path)
    try:
        system, target = open_file_system(url)
        marker = open_file_system(marker_of(url))[1]
        if notes is not None and system.exists(marker):
            system.rm_file(marker)  # from here until the new marker is written, the result counts as not there
        system.put_file(str(path), target)
        if notes is not None:
            system.pipe_file(marker, json.dumps({"size": path.stat().st_size, "notes": dict(notes)}).encode())
    except OSError as error:
        raise OutputError(f"cannot be uploaded ({error})", where=url, fix=FIX) from error
    if not keep:
        path.unlink(missing_ok=True)


def read_marker(path: Path) -> dict[str, str]:
    """The notes of the result that is at the URL of ``path``; empty when there is none, or one that is not the marker's."""
    url = url_of(path)
    try:
        system, target = open_file_system(url)
        body: Any = json.loads(system.cat_file(open_file_system(marker_of(url))[1]))
        return dict(body["notes"]) if system.info(target)["size"] == body["size"] else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def check_writable(folder: Path) -> None:
    """Try whether results can be put at the URL of ``folder``. Raises OutputError."""
    url = url_of(folder)
    try:
        system, target = open_file_system(f"{url}/.mmfa/writable")
        system.pipe_file(target, b"")
        system.rm_file(target)
    except OSError as error:
        raise OutputError(f"results cannot be put there ({error})", where=url, fix=FIX) from error
