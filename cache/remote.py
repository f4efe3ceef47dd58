"""A cache at a URL (s3://, any that fsspec knows), read and written through a folder on the local disk.

``<url>/v1/<first 2 hex>/<digest>/<attempt>/`` holds the files of an entry, ``.../<digest>/complete.json`` names the attempt that
counts. Object stores put single objects atomically, not folders: so the files are put first and this one last. Two writers of the
same key make two attempts; the later one counts, and the entry is as good. What is fetched is checked by its digests as ever.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import cache.entry as layout
from cache.keys import CacheKey
from cache.store import Mode, NullWriter, RecordCache, StoredRecord, Writer
from mmfa_components.errors import CacheError
from mmfa_components.records import Record


class RemoteCache(RecordCache):
    """As RecordCache, with ``url`` behind its folder. What cannot be fetched is computed; what cannot be put stays local; both are told."""

    def __init__(
        self, url: str, mode: Mode, records: Mapping[str, type[Record]] | None, on_event: Callable[[str], None] | None, folder: Path | None = None
    ) -> None:
        import fsspec

        local = folder or Path(tempfile.gettempdir()) / "mmfa-stage" / "cache" / hashlib.sha256(url.encode()).hexdigest()[:16]
        super().__init__(local, mode, records, on_event)
        self.url = url.rstrip("/")
        try:
            self.system, self.root = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise CacheError(f"cannot be opened ({error})", where=url, fix="pip install 'mmfa[cloud]'") from error

    def open_digest(self, digest: str, record: type[Record]) -> StoredRecord | None:
        """As RecordCache; an entry that is not here is fetched."""
        stored = super().open_digest(digest, record)
        if stored is not None or self.mode == "off":
            return stored
        try:
            if not self._fetch(digest):
                return None
        except (OSError, ValueError, KeyError) as error:
            self.on_event(f"{self.url}: the cache entry cannot be fetched ({error}); its content is computed again")
            return None
        return super().open_digest(digest, record)

    def writer(self, key: CacheKey, record_type: type[Record] | None = None) -> Writer:
        """As RecordCache; after the entry is published here, it is put at the URL."""
        inner = super().writer(key, record_type)
        return inner if isinstance(inner, NullWriter) else _Uploading(inner, self, key.digest)

    def _fetch(self, digest: str) -> bool:
        base = self._base(digest)
        try:
            known = json.loads(self.system.cat_file(f"{base}/{layout.MARKER}"))
        except FileNotFoundError:
            return False
        temporary = layout.temporary_path(self.folder, digest)
        try:
            for name in known["files"]:
                (temporary / name).parent.mkdir(parents=True, exist_ok=True)
                self.system.get_file(f"{base}/{known['attempt']}/{name}", str(temporary / name))
            target = layout.entry_path(self.folder, digest)
            target.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(OSError):  # another process of this machine was faster
                temporary.rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return True

    def put_entry(self, digest: str) -> None:
        """Put a published entry at the URL."""
        base, path, attempt = self._base(digest), layout.entry_path(self.folder, digest), secrets.token_hex(8)
        try:
            names = sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())
            for name in names:
                self.system.put_file(str(path / name), f"{base}/{attempt}/{name}")
            body: dict[str, Any] = {"attempt": attempt, "files": names}
            self.system.pipe_file(f"{base}/{layout.MARKER}", json.dumps(body).encode())
        except OSError as error:
            self.on_event(f"{self.url}: the cache entry cannot be put there ({error}); it is kept on this machine only")

    def _base(self, digest: str) -> str:
        return f"{self.root}/{layout.LAYOUT}/{digest[:2]}/{digest}"


class _Uploading:
    """A writer that hands its entry on once it is published."""

    def __init__(self, inner: Writer, cache: RemoteCache, digest: str) -> None:
        self.inner, self.cache, self.digest = inner, cache, digest

    def __enter__(self) -> Writer:
        self.inner.__enter__()
        return self

    def append(self, span: Record) -> None:
        """See RecordWriter."""
        self.inner.append(span)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.inner.__exit__(kind, error, trace)
        if kind is None:
            self.cache.put_entry(self.digest)


def open_cache(
    folder: str, mode: Mode, records: Mapping[str, type[Record]] | None = None, on_event: Callable[[str], None] | None = None
) -> RecordCache:
    """The cache in a folder, or at a URL. Raises CacheError."""
    if "://" in folder:
        return RemoteCache(folder, mode, records, on_event)
    return RecordCache(Path(folder), mode, records, on_event)
