"""Where stages keep what they make of clips: the cache, or a temporary folder when the cache cannot or must not be written."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from cache import CacheKey, RecordCache, open_cache
from mmfa_components.errors import CacheError
from mmfa_components.records import Record
from pipelines.config.schema import Cache

R = TypeVar("R", bound=Record)


class Store:
    """Records of clips by key, written and read span by span.

    What cannot be written to the cache (read-only, full, mode "read" or "off") goes to a temporary folder of this run instead;
    ``warn`` is told why, once.
    """

    def __init__(self, options: Cache, records: Mapping[str, type[Record]], warn: Callable[[str], None]) -> None:
        self.warn = warn
        self.folder = Path(tempfile.mkdtemp(prefix="mmfa-"))
        self.scratch = RecordCache(self.folder, "use", records, warn)
        self.writable = options.mode == "use"
        self.cache: RecordCache | None = None
        if options.mode != "off":
            try:
                self.cache = open_cache(options.folder, options.mode, records, warn)
            except (CacheError, OSError) as error:
                self._without(error)

    def get(self, key: CacheKey) -> tuple[Any, bool] | None:
        """The stored record behind ``key`` and whether it came from the cache; None when it is not there."""
        if self.cache is not None:
            try:
                stored = self.cache.open(key)
            except OSError as error:
                self._without(error)
                stored = None
            if stored is not None:
                return stored, True
        stored = self.scratch.open(key)
        return None if stored is None else (stored, False)

    def fill(self, key: CacheKey, record: type[R], make: Callable[[], Iterable[R]]) -> Any:
        """Write the spans ``make()`` yields under ``key`` and return the stored record. ``make`` is called again when the cache fails."""
        if self.cache is not None and self.writable:
            try:
                self._write(self.cache, key, record, make())
                stored = self.cache.open(key)
                if stored is not None:
                    return stored
            except (CacheError, OSError) as error:
                self.writable = False
                self._without(error)
        self._write(self.scratch, key, record, make())
        return self.scratch.open(key)

    def close(self) -> None:
        """Remove the temporary folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, cache: RecordCache, key: CacheKey, record: type[R], spans: Iterable[R]) -> None:
        with cache.writer(key, record) as writer:
            for span in spans:
                writer.append(span)

    def _without(self, error: Exception) -> None:
        text = error.what if isinstance(error, CacheError) else str(error)
        self.warn(f"going on without writing the cache: {text}")


def iterate(stored: Any, span: int) -> Iterator[Any]:
    """All spans of a stored record."""
    for start in range(0, len(stored), span):
        yield stored.read(start, min(start + span, len(stored)))
