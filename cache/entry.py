"""Entries on disk: where they lie, their completion marker, and the checks that find damage.

``<folder>/v1/<first 2 hex>/<digest>/`` is a Zarr v3 group with two files beside the arrays: ``preimage.json`` (what the key was made
of, and who wrote it when) and ``complete.json`` (the marker: frames, and size and sha256 of every other file). An entry is what its
marker says; its modification time is when it was last used. ``<folder>/v1/tmp/`` holds unfinished writes,
``<folder>/v1/damaged/`` entries that were set aside.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from cache.keys import canonical_json, digest_of
from mmfa_components.processes import process_place

LAYOUT = "v1"
MARKER, PREIMAGE = "complete.json", "preimage.json"


class DamageError(Exception):
    """Why an entry cannot be used; caught inside this package."""


@attrs.frozen
class Marker:
    """The content of ``complete.json``.

    record: fingerprint of the record class.  frames: length of the record.  fields: name -> {"dtype", "shape"}.
    shard: frames of a shard file, 0 for records stored whole.  files: path inside the entry -> (size, sha256).
    """

    record: str
    frames: int
    fields: dict[str, dict[str, Any]]
    shard: int
    files: dict[str, tuple[int, str]]

    @property
    def size(self) -> int:
        """Bytes of all files but the marker."""
        return sum(size for size, _ in self.files.values())


# ---- where things lie --------------------------------------------------------------------------------------------------
def entry_path(folder: Path, digest: str) -> Path:
    """Folder of the entry ``digest``."""
    return folder / LAYOUT / digest[:2] / digest


def temporary_path(folder: Path, digest: str) -> Path:
    """A fresh name under ``tmp/`` that says who made it."""
    return folder / LAYOUT / "tmp" / f"{digest}.{host_name()}.{os.getpid()}.{secrets.token_hex(4)}"


def host_name() -> str:
    """This host's name without dots, and where it numbers its processes: containers of one host may have one name."""
    return f"{re.sub(r'[^A-Za-z0-9-]', '-', socket.gethostname()) or 'host'}-{process_place()}"


def set_aside(folder: Path, path: Path) -> Path | None:
    """Move a damaged entry to ``damaged/``; None when another process was faster or the folder cannot be written."""
    target = folder / LAYOUT / "damaged" / f"{path.name}.{secrets.token_hex(4)}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    except OSError:
        return None
    return target


def remove(folder: Path, path: Path) -> None:
    """Remove an entry so that no reader sees half of it: moved under ``tmp/`` first. Raises OSError."""
    grave = temporary_path(folder, path.name.split(".")[0])
    grave.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        path.rename(grave)
        shutil.rmtree(grave)


# ---- the marker ---------------------------------------------------------------------------------------------------------
def write_marker(path: Path, marker: Marker) -> None:
    """Write ``complete.json`` with a checksum of itself, and flush it to the disk."""
    body = attrs.asdict(marker)
    write_json(path / MARKER, {**body, "check": digest_of(body)})


def read_marker(path: Path) -> Marker:
    """Read ``complete.json``. Raises DamageError when it is missing or changed, FileNotFoundError when there is no entry at all."""
    try:
        body = json.loads((path / MARKER).read_bytes())
    except FileNotFoundError:
        if not path.exists():
            raise
        raise DamageError(f"{MARKER} is missing") from None
    except ValueError:
        raise DamageError(f"{MARKER} cannot be read") from None
    check = body.pop("check", "") if isinstance(body, dict) else ""
    if not isinstance(body, dict) or check != digest_of(body):
        raise DamageError(f"{MARKER} was changed")
    files = {name: (int(size), str(sha)) for name, (size, sha) in body.pop("files").items()}
    return Marker(**body, files=files)


def seal(path: Path, record: str, frames: int, fields: Mapping[str, dict[str, Any]], shard: int) -> None:
    """Flush every file of a finished temporary entry to the disk and write its marker."""
    files: dict[str, tuple[int, str]] = {}
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        with file.open("rb") as opened:
            sha = hashlib.file_digest(opened, "sha256").hexdigest()
            os.fsync(opened.fileno())
        files[file.relative_to(path).as_posix()] = (file.stat().st_size, sha)
    write_marker(path, Marker(record, frames, dict(fields), shard, files))
    for directory in [path, *(p for p in path.rglob("*") if p.is_dir())]:
        flush_directory(directory)


def flush_directory(path: Path) -> None:
    """fsync a directory, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write canonical JSON and flush it."""
    with path.open("w", encoding="utf-8") as file:
        file.write(canonical_json(value) + "\n")
        file.flush()
        os.fsync(file.fileno())


# ---- checks -------------------------------------------------------------------------------------------------------------
def check_sizes(path: Path, marker: Marker) -> None:
    """The cheap check: every file is there with its size. Raises DamageError."""
    for name, (size, _) in marker.files.items():
        try:
            actual = (path / name).stat().st_size
        except FileNotFoundError:
            raise DamageError(f"{name} is missing") from None
        if actual != size:
            raise DamageError(f"{name} has {actual} bytes instead of {size}")


def check_digests(path: Path, marker: Marker) -> None:
    """The full check: every file has its sha256, and the pre-image is the one the entry is named after. Raises DamageError."""
    for name, (_, sha) in marker.files.items():
        try:
            with (path / name).open("rb") as file:
                actual = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            raise DamageError(f"{name} is missing") from None
        if actual != sha:
            raise DamageError(f"the content of {name} was changed")
    if digest_of(read_preimage(path)["hashed"]) != path.name.split(".")[0]:
        raise DamageError(f"{PREIMAGE} belongs to another key")


def read_preimage(path: Path) -> dict[str, Any]:
    """The content of ``preimage.json``: hashed, input_name, created. Raises DamageError."""
    try:
        body = json.loads((path / PREIMAGE).read_bytes())
    except (OSError, ValueError):
        raise DamageError(f"{PREIMAGE} is missing or cannot be read") from None
    if not isinstance(body, dict) or not isinstance(body.get("hashed"), dict):
        raise DamageError(f"{PREIMAGE} was changed")
    return body
