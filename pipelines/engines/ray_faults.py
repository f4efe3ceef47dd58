"""What an error of Ray's means: a process died, its node went, or the place where it runs is unfit."""

from __future__ import annotations

import errno
import re

import torch

UNFIT = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ENFILE, errno.EMFILE, errno.ENOMEM}
"""Errors of the operating system that speak of the machine, not of the input."""


def node_gone(error: BaseException, node: str) -> bool:
    """Whether a worker was lost because its node, or the way to it, was: then its work is hardly to blame."""
    import ray

    if isinstance(error, ray.exceptions.ActorUnavailableError):  # a process that dies alone is reported as dead by its node
        return True
    text = str(error)
    if any(words in text for words in ("node was terminated", "NODE_DIED", "node is dead", "node died", "marked dead", "preempted")):
        return True
    return any(known["NodeID"] == node and not known["Alive"] for known in ray.nodes())  # type: ignore[no-untyped-call]


def worker_lost(error: BaseException) -> str:
    """Why a worker died, in a line."""
    text = str(error)
    if "memory monitor" in text or "OutOfMemory" in type(error).__name__:
        return "it used more memory than its node has"
    detail = re.search(r"exit detail: (.*?)(\. Some common|$)", text, re.MULTILINE)
    if detail:
        return f"its process ended: {detail.group(1)[:160]}"
    lines = text.strip().splitlines()
    return lines[-1][:200] if lines else type(error).__name__


def worker_unfit(error: BaseException) -> bool:
    """Whether an error that a unit raised is the machine's: a full disk, a broken GPU. Another machine may do it."""
    if isinstance(error, OSError) and error.errno in UNFIT:
        return True
    broken = getattr(torch, "AcceleratorError", None)
    if broken is not None and isinstance(error, broken):
        return True
    return isinstance(error, RuntimeError) and "CUDA error" in str(error)
