"""Finding entries on disk: all of them, or one by the beginning of its key; and checking them all."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from cache.entry import (
    LAYOUT,
    MARKER,
    DamageError,
    Marker,
    check_digests,
    check_sizes,
    read_marker,
    read_preimage,
    set_aside,
)
from mmfa_components.errors import CacheError, reason_of

_HEX = re.compile(r"[0-9a-f]{64}")


@attrs.frozen
class Entry:
    """One entry as found on disk; ``fault`` is "" unless its marker or pre-image cannot be read, or a file has another size.

    notes: what its maker kept with it, such as the clock of timestamps.
    """

    path: Path
    marker: Marker | None
    hashed: dict[str, Any]
    input_name: str
    created: str
    used: float
    size: int
    fault: str = ""
    notes: dict[str, str] = attrs.field(factory=dict)

    @property
    def digest(self) -> str:
        """The key."""
        return self.path.name

    @property
    def record_name(self) -> str:
        """Name of the record class, "?" when unknown."""
        return str(self.hashed.get("record", "?")).split("/")[0]


def inspect(path: Path) -> Entry:
    """Look at one entry without reading its data. Raises FileNotFoundError when it is gone."""
    marker: Marker | None = None
    body: dict[str, Any] = {}
    fault = ""
    try:
        body = read_preimage(path)
        marker = read_marker(path)
        check_sizes(path, marker)
    except DamageError as damage:
        fault = str(damage)
    stamp = path / MARKER if (path / MARKER).exists() else path
    size = marker.size if marker else sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
    return Entry(
        path, marker, body.get("hashed", {}), body.get("input_name", ""), body.get("created", ""), stamp.stat().st_mtime, size, fault,
        body.get("notes", {}),
    )  # fmt: skip


def entries(folder: Path) -> Iterator[Entry]:
    """All published entries, by key. Raises CacheError when the folder cannot be read."""
    root = folder / LAYOUT
    try:
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(None, "it is not a folder")
        groups = sorted(p for p in root.iterdir() if len(p.name) == 2 and p.is_dir()) if root.exists() else []
        for group in groups:
            for path in sorted(p for p in group.iterdir() if _HEX.fullmatch(p.name)):
                with contextlib.suppress(FileNotFoundError):  # removed by another process meanwhile
                    yield inspect(path)
    except OSError as error:
        fix = "give a readable cache folder with --folder or cache.folder"
        raise CacheError(f"the cache cannot be read ({reason_of(error)})", where=str(folder), fix=fix) from error


def find(folder: Path, prefix: str) -> Entry:
    """The one entry whose key begins with ``prefix``. Raises CacheError when there is none, or more than one."""
    hits = [e for e in entries(folder) if e.digest.startswith(prefix.lower())] if prefix else []
    if len(hits) == 1:
        return hits[0]
    if not hits:
        raise CacheError(f"no entry's key begins with {prefix!r}", where=str(folder), fix="mmfa cache ls shows all keys")
    fix = f"give more letters: {', '.join(e.digest[: len(prefix) + 6] for e in hits[:4])}"
    raise CacheError(f"{len(hits)} keys begin with {prefix!r}", where=str(folder), fix=fix)


@attrs.frozen
class Fault:
    """A damaged entry: why, and where it was moved (None: left in place)."""

    entry: Entry
    why: str
    moved: Path | None = None


def verify(folder: Path, repair: bool = False) -> tuple[int, list[Fault]]:
    """Check every file of every entry; with ``repair`` damaged ones are moved to ``damaged/``, to be made anew when next needed.

    Returns the number of entries looked at and the faults. Raises CacheError when the folder cannot be read.
    """
    count, faults = 0, []
    for entry in entries(folder):
        count += 1
        why = entry.fault
        if entry.marker is not None and not why:
            try:
                check_digests(entry.path, entry.marker)
            except (DamageError, OSError) as error:
                why = str(error)
        if why:
            faults.append(Fault(entry, why, set_aside(folder, entry.path) if repair else None))
    return count, faults
