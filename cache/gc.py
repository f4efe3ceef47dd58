"""Making room: old and least recently used entries, what killed writers left behind, and what was set aside as damaged."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import attrs

from cache.entry import LAYOUT, host_name, remove
from cache.listing import entries
from cache.writer import writing
from mmfa_components.errors import CacheError, reason_of

Why = Literal["old", "space", "leftover", "damaged"]
FOREIGN_AGE = 7 * 86400.0  # seconds after which another host's unfinished write counts as left behind
_SIZES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
_AGES = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@attrs.frozen
class Removal:
    """Something to remove: its place, bytes, reason, and what it is in words."""

    path: Path
    size: int
    why: Why
    text: str


@attrs.frozen
class Collection:
    """What ``collect`` removed (or would remove) and what stays."""

    removed: tuple[Removal, ...]
    kept: int
    kept_size: int

    @property
    def freed(self) -> int:
        """Bytes removed."""
        return sum(r.size for r in self.removed)


def collect(
    folder: Path, max_size: int | None = None, older_than: float | None = None, dry_run: bool = False, now: float | None = None
) -> Collection:
    """Remove leftovers and damaged entries, entries not used for ``older_than`` seconds, then the least recently used ones until
    all entries together take at most ``max_size`` bytes.

    Raises CacheError when the folder cannot be read or written.
    """
    now = time.time() if now is None else now
    removals = [*_leftovers(folder, now), *_damaged(folder)]
    kept = sorted(entries(folder), key=lambda e: e.used)
    total = sum(e.size for e in kept)
    while kept:
        oldest = kept[0]
        why: Why
        if older_than is not None and now - oldest.used > older_than:
            why = "old"
        elif max_size is not None and total > max_size:
            why = "space"
        else:
            break
        text = f"{oldest.record_name} of {oldest.input_name or '?'}"
        removals.append(Removal(oldest.path, oldest.size, why, text))
        total -= oldest.size
        kept.pop(0)
    if not dry_run:
        with writing(folder):
            for removal in removals:
                if removal.why in ("leftover", "damaged"):
                    shutil.rmtree(removal.path, ignore_errors=not removal.path.exists())
                else:
                    remove(folder, removal.path)
    return Collection(tuple(removals), len(kept), total)


def _leftovers(folder: Path, now: float) -> Iterator[Removal]:
    """Unfinished writes of processes of this host that are gone, and of other hosts when older than a week."""
    for path in _listing(folder / LAYOUT / "tmp"):
        parts = path.name.split(".")
        if len(parts) != 4 or not parts[2].isdigit():
            continue
        try:
            age = now - path.stat().st_mtime
        except FileNotFoundError:
            continue
        if not _alive(int(parts[2])) if parts[1] == host_name() else age > FOREIGN_AGE:
            yield Removal(path, _size(path), "leftover", f"unfinished write of process {parts[2]} on {parts[1]}")


def _damaged(folder: Path) -> Iterator[Removal]:
    for path in _listing(folder / LAYOUT / "damaged"):
        yield Removal(path, _size(path), "damaged", "set aside as damaged")


def _listing(path: Path) -> list[Path]:
    try:
        return sorted(path.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise CacheError(f"the cache cannot be read ({reason_of(error)})", where=str(path), fix="check the folder's permissions") from error


def _size(path: Path) -> int:
    total = 0
    for root, _, files in os.walk(path):
        for name in files:
            try:
                total += os.stat(os.path.join(root, name)).st_size
            except FileNotFoundError:
                continue
    return total


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def parse_size(text: str) -> int:
    """Bytes of "5GB", "500 MB", "1.5GiB" or "1000". Raises CacheError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]I?)?B?", text.strip().upper())
    if not match:
        raise CacheError(f"{text!r} is not a size", where="--max-size", fix='write it as "5GB", "500MB" or "1.5GiB"')
    return int(float(match[1]) * _SIZES[match[2] or ""])


def parse_age(text: str) -> float:
    """Seconds of "30d", "12h", "2w", "90m" or "45s". Raises CacheError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])", text.strip().lower())
    if not match:
        raise CacheError(f"{text!r} is not an age", where="--older-than", fix='write it as "30d", "12h" or "2w"')
    return float(match[1]) * _AGES[match[2]]
