"""Errors meant for the user: what was wrong, where, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MMFAError(Exception):
    """Base of every error MMFA raises on purpose; its text is shown to the user without a traceback.

    Args:
        what: what was wrong, in one sentence.
        where: file, TOML key, frame or component the error belongs to; may be empty.
        fix: what the user can do about it; may be empty.
    """

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.fix = what, where, fix

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  -> {self.fix}" if self.fix else head

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.where, self.fix)


class RecordError(MMFAError, ValueError):
    """A record was built from arrays of the wrong shape, dtype or device."""


class ConfigError(MMFAError, ValueError):
    """A pipeline file, override or option is not valid."""


class PluginError(MMFAError):
    """A plugin is broken, or a component is not registered."""


class PackageError(PluginError):
    """An optional package that a component needs is not installed."""


class WeightsError(MMFAError):
    """A weights file is missing, damaged or belongs to another architecture."""


class MediaError(MMFAError):
    """An image or video could not be read or written."""


class NoFaceError(MMFAError):
    """No usable face was found where one is needed."""


class CacheError(MMFAError):
    """The motion cache could not be read or written."""


class OutputError(MMFAError):
    """A result could not be written (no space, no permission, not a folder)."""


class EngineError(MMFAError):
    """Work could not be placed: no worker starts, or a unit of work brings down every worker that takes it."""


class DatasetError(MMFAError):
    """A data set is missing, damaged, or holds too little."""


class TrainingError(MMFAError):
    """Training cannot go on, or came to nothing."""


def _rebuild(kind: type[MMFAError], what: str, where: str, fix: str) -> MMFAError:
    return kind(what, where=where, fix=fix)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``"did you mean 'x'?"`` for the closest known name, else the list of known names."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(names)}" if names else "nothing is registered"


def reason_of(error: BaseException) -> str:
    """Why an operation failed, in one line: the system's words where there are any ("No space left on device"), else the error's first line."""
    words = error.strerror if isinstance(error, OSError) else None
    lines = str(error).strip().splitlines()
    return words or (lines[0] if lines else type(error).__name__)
