"""Uploads: bounded in size while they arrive, known by their content, kept under names of ours."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Literal

import attrs

from mmfa_components.errors import MediaError
from pipelines.media import MediaInfo, probe, require_image, require_video
from pipelines.studio.sessions import Session

Slot = Literal["portrait", "clip"]
MEGABYTE = 1 << 20
MOST_PIXELS = 60_000_000
LONGEST_NAME = 120  # bytes

IMAGES: Mapping[str, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
VIDEOS: Mapping[str, str] = {"mp4": ".mp4", "matroska": ".mkv", "avi": ".avi"}
WANTED: Mapping[Slot, tuple[Mapping[str, str], str, str]] = {
    "portrait": (IMAGES, "a picture", "choose a PNG, JPEG or WebP file"),
    "clip": (VIDEOS, "a video", "choose an MP4, MOV, MKV, WebM or AVI file"),
}


class TooLargeError(MediaError):
    """An upload is larger than the studio takes."""


@attrs.frozen
class Limits:
    """Largest upload of each slot in bytes."""

    portrait: int = 40 * MEGABYTE
    clip: int = 500 * MEGABYTE

    def of(self, slot: Slot) -> int:
        """The limit of a slot."""
        return self.portrait if slot == "portrait" else self.clip


@attrs.frozen
class Upload:
    """A file that was taken in. path: where it is, under a name of ours.  name: what its owner calls it, for the eye only."""

    path: Path
    name: str
    info: MediaInfo


async def receive(session: Session, slot: Slot, length: int | None, body: AsyncIterator[bytes], limit: int) -> Path:
    """Write a body to the session's folder. Raises TooLargeError as soon as it is known, MediaError for an empty or interrupted one."""
    if length is not None and length > limit:
        raise too_large(limit)
    path = session.folder / f"{slot}-{secrets.token_hex(8)}.part"
    size = 0
    try:
        with path.open("xb") as file:
            async for piece in body:
                size += len(piece)
                if size > limit:
                    raise too_large(limit)
                file.write(piece)
        if size == 0:
            raise MediaError("This file is empty", fix="copy or download it again")
        if length is not None and size != length:
            raise MediaError("The upload was cut off", fix="try again")
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def admit(partial: Path, slot: Slot, name: str) -> Upload:
    """Check a received file by its content and give it a name of ours; it is removed when it is not what the slot takes.

    Raises MediaError when it is of another kind, damaged or has too many pixels.
    """
    kinds, wanted, fix = WANTED[slot]
    path = partial
    try:
        with partial.open("rb") as file:
            kind = sniff(file.read(64))
        if kind is None or kind not in kinds:
            other = "a picture" if kind in IMAGES else "a video" if kind in VIDEOS else ""
            what = f"This file is {other}; {wanted} is needed here" if other else f"This file is not {wanted} the studio can read"
            raise MediaError(what, fix=fix)
        path = partial.replace(partial.with_suffix(kinds[kind]))
        try:
            info = probe(path)
            (require_image if slot == "portrait" else require_video)(info)
        except MediaError as error:
            what = f"This file cannot be read: {error.what}"
            raise MediaError(what, fix="it is probably damaged; copy it again, or save it anew as PNG or MP4") from error
        if info.width * info.height > MOST_PIXELS:
            raise MediaError(f"{info.width} x {info.height} pixels are too many", fix="make it smaller; faces are worked on at 256 x 256")
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Upload(path, plain_name(name, slot, path.suffix), info)


def too_large(limit: int) -> TooLargeError:
    """The error of an upload over ``limit`` bytes."""
    return TooLargeError(f"This file is larger than {limit // MEGABYTE} MB", fix="choose a smaller one, or cut the clip")


def sniff(head: bytes) -> str | None:
    """What a file is by its first 64 bytes: a key of IMAGES or VIDEOS, or None.

    Only self-contained formats are known: playlists and the like, which make a reader open other files, are not.
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "avi"
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        image = head[8:12] in (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1")
        return None if image else "mp4"
    return "matroska" if head.startswith(b"\x1a\x45\xdf\xa3") else None


def plain_name(name: str, slot: Slot, suffix: str) -> str:
    """A client's file name made harmless: its last part, letters, digits, spaces and ``._-()`` only; ``suffix`` when it has none.

    It is shown, and is what the file is called beside a recipe, in a folder of the session made for that; never a path.
    """
    last = re.sub(r"[^\w .()-]", "_", re.split(r"[/\\]", name)[-1]).strip(" .")
    stem, _, ending = last.rpartition(".")
    if not stem or not ending.isalnum() or len(ending) > 5:
        stem, ending = last, suffix.removeprefix(".")
    stem = stem.encode()[:LONGEST_NAME].decode(errors="ignore").strip(" .")
    return f"{stem or slot}.{ending}"
