"""Which process made a file that is not finished, and whether that process still runs.

The number of a process is a name only where it was given: another host, or another container on
this one, counts its own.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
from contextlib import suppress
from functools import cache
from pathlib import Path


@cache
def process_place() -> str:
    """Where this process's number was given, 8 hex digits: this start of this system, and its namespace of processes."""
    parts = [socket.gethostname()]
    with suppress(OSError):  # there is neither but on Linux
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


def process_mark() -> str:
    """A text for the names of unfinished files: place, number of this process, and a few random digits."""
    return f"{process_place()}-{os.getpid()}-{secrets.token_hex(4)}"


def process_alive(number: int) -> bool:
    """Whether a process of this number is running here."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
