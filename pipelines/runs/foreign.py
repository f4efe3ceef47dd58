"""Files of other people in the folder of results: they are never overwritten."""

from __future__ import annotations

import json
from pathlib import Path

from mmfa_components.errors import MMFAError, OutputError
from pipelines.media import read_metadata
from pipelines.remote import is_uploaded
from pipelines.stages.motion_file import is_motion_file

REPORTS = "mmfa-"
"""What the format of every report of ours begins with."""


def refuse_foreign(path: Path, fix: str = "move it, or choose another output.folder") -> None:
    """Raise OutputError when ``path`` is a file that MMFA has not made; one that is empty, or at a URL, is not asked."""
    if not is_uploaded(path) and path.is_file() and path.stat().st_size and not _is_ours(path):
        raise OutputError("is there already and was not made by MMFA: it is not overwritten", where=str(path), fix=fix)


def _is_ours(path: Path) -> bool:
    try:
        if path.suffix == ".json":
            found = json.loads(path.read_text(encoding="utf-8"))
            return isinstance(found, dict) and str(found.get("format", "")).startswith(REPORTS)
        if path.suffix == ".zip":
            return is_motion_file(path)
        return "synthetic" in read_metadata(path)
    except (MMFAError, ValueError, OSError):
        return False
