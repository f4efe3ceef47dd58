"""Digest of a file's content: what cache keys and job keys know an input by."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mmfa_components.errors import MediaError, reason_of
from pipelines.remote import present


def content_digest(path: Path) -> str:
    """sha256 (hex) of a file's bytes. Raises MediaError when it cannot be read."""
    try:
        with present(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MediaError(f"cannot be read ({reason_of(error)})", where=str(path), fix="check the path and its permissions") from error
