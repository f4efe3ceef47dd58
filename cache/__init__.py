"""Content-addressed store of records on disk (Zarr v3). ``mmfa cache`` looks after it; see docs/architecture.md."""

from cache.keys import CacheKey
from cache.remote import open_cache
from cache.store import RecordCache, StoredRecord
from cache.writer import RecordWriter

__all__ = ["CacheKey", "RecordCache", "RecordWriter", "StoredRecord", "open_cache"]
