"""Notes (key, value) stored in results: the comment tag of videos, PNG text, JPEG's and WebP's image description, GIF's comment, as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from pipelines.media.opening import open_input

DESCRIPTION = 0x010E
"""EXIF tag of the image description."""
ORIENTATION = 0x0112
"""EXIF tag of the orientation, 1 to 8."""


def read_metadata(path: Path) -> dict[str, str]:
    """The notes that VideoWriter or write_image stored; empty when there are none or the file cannot be read."""
    text = ""
    try:
        with Image.open(path) as image:
            comment = image.info.get("comment", b"") if image.format == "GIF" else b""
            text = comment.decode(errors="replace") or str(image.info.get("mmfa") or image.getexif().get(DESCRIPTION, ""))
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        try:
            with open_input(path) as container:
                tags = {k.lower(): v for k, v in container.metadata.items()}
                text = tags.get("comment", "")
        except (OSError, ValueError):
            return {}
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}
