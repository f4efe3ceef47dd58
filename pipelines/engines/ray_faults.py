"""What an error of Ray's means: a process died, its node went, or the place where it runs is unfit."""

from __future__ import annotations

import errno

import torch

UNFIT = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ENFILE, errno.EMFILE, errno.ENOMEM}
"""Errors of the operating system that speak of the machine, not of the input."""


def node_gone(error: BaseException, node: str) -> bool:
    """Whether a worker was lost because its whole node was: then its work is not to blame."""
    import ray

    text = str(error)
    if any(words in text for words in ("node was terminated", "NODE_DIED", "node is dead", "node died", "marked dead", "raylet died", "preempted")):
        return True
    return any(known["NodeID"] == node and not known["Alive"] for known in ray.nodes())  # type: ignore[no-untyped-call]


def worker_lost(error: BaseException) -> str:
    """Why a worker died, in a line."""
    text = str(error)
    if "memory" in text.lower() and ("oom" in text.lower() or "out of memory" in text.lower()):
        return "it ran out of memory"
    for line in text.splitlines():
        if "exit_type" in line or "exit_detail" in line or "signal" in line.lower():
            return line.strip()[:200]
    first = text.strip().splitlines()
    return first[0][:200] if first else type(error).__name__


def worker_unfit(error: BaseException) -> bool:
    """Whether an error that a unit raised is the machine's: a full disk, a broken GPU. Another machine may do it."""
    if isinstance(error, OSError) and error.errno in UNFIT:
        return True
    broken = getattr(torch, "AcceleratorError", None)
    if broken is not None and isinstance(error, broken):
        return True
    return isinstance(error, RuntimeError) and "CUDA error" in str(error)
