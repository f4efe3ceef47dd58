"""Notes in finished GIF and animated WebP files, which FFmpeg writes without: a comment, or EXIF's image description."""

from __future__ import annotations

import struct
from pathlib import Path

from PIL import Image

from pipelines.media.notes import DESCRIPTION

BLOCK = 255  # bytes of a sub-block of a GIF
EXIF_FLAG = 0x08  # of a WebP's VP8X chunk


def tag(path: Path, text: str) -> None:
    """Put ``text`` into the file at ``path``, a GIF or WebP by its suffix; other files are left alone. Raises OSError."""
    put = {".gif": _into_gif, ".webp": _into_webp}.get(path.suffix.lower())
    if put is not None:
        path.write_bytes(put(path.read_bytes(), text))


def _into_gif(data: bytes, text: str) -> bytes:
    """A comment extension after the header and its colours."""
    flags = data[10]
    at = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    body = text.encode()
    blocks = b"".join(bytes([len(part)]) + part for part in (body[i : i + BLOCK] for i in range(0, len(body), BLOCK)))
    return data[:at] + b"\x21\xfe" + blocks + b"\0" + data[at:]


def _into_webp(data: bytes, text: str) -> bytes:
    """An EXIF chunk at the end; only extended files (VP8X), which all animations are, can hold one."""
    if data[12:16] != b"VP8X":
        return data
    exif = Image.Exif()
    exif[DESCRIPTION] = text
    body = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = b"EXIF" + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
    flagged = data[:20] + bytes([data[20] | EXIF_FLAG]) + data[21:] + chunk
    return flagged[:4] + struct.pack("<I", len(flagged) - 8) + flagged[8:]
