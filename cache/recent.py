"""What was read last of small records, kept in memory: a clip's motion is asked for many times, and each read of Zarr takes milliseconds."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from torch import Tensor

MOST_BYTES = 64 * 1024 * 1024


class RecentReads:
    """Whole fields by a key that tells their content, the least recently used first to go; at most ``limit`` bytes. Threads may share it."""

    def __init__(self, limit: int = MOST_BYTES) -> None:
        self.limit, self.size = limit, 0
        self._kept: OrderedDict[tuple[str, ...], Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, ...], read: Callable[[], Tensor]) -> Tensor:
        """The field, from memory or by ``read``. It is shared: whoever wants to change it copies it."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        found = read()
        size = found.numel() * found.element_size()
        with self._lock:
            if key not in self._kept and size <= self.limit:
                self._kept[key] = found
                self.size += size
                while self.size > self.limit:
                    _, gone = self._kept.popitem(last=False)
                    self.size -= gone.numel() * gone.element_size()
        return found
