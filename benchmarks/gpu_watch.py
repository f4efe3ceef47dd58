"""How busy each GPU of this machine is while something runs, as the driver's own tool tells it."""

from __future__ import annotations

import subprocess
import threading
import time
from types import TracebackType
from typing import Any

QUERY = ("nvidia-smi", "--query-gpu=index,utilization.gpu,memory.used", "--format=csv,noheader,nounits", "--loop-ms=200")


class GpuWatch:
    """Watches all GPUs inside a ``with`` block; without the tool (or a GPU) nothing is seen, and nothing fails.

    command: prints lines "index, busy percent, memory MB" until it is ended.
    """

    def __init__(self, command: tuple[str, ...] = QUERY) -> None:
        self.command = command
        self.seen: list[tuple[float, int, float, float]] = []  # time.monotonic(), index, busy share, memory MB

    def __enter__(self) -> GpuWatch:
        self._process: subprocess.Popen[str] | None = None
        try:
            self._process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        except OSError:
            return self
        self._thread = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._thread.join()

    def shares(self, since: float, until: float) -> dict[str, dict[str, Any]]:
        """By GPU: mean share of the time in which it computed anything, largest memory in GiB, number of looks; between two monotonic times."""
        found: dict[str, dict[str, Any]] = {}
        for gpu in sorted({index for _, index, _, _ in self.seen}):
            looks = [(busy, memory) for at, index, busy, memory in self.seen if index == gpu and since <= at <= until]
            if looks:
                mean = sum(busy for busy, _ in looks) / len(looks)
                found[str(gpu)] = {"busy_share": round(mean, 3), "memory_gib": round(max(m for _, m in looks) / 1024, 2), "looks": len(looks)}
        return found

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            try:
                index, busy, memory = (float(part) for part in line.split(","))
            except ValueError:  # "[N/A]": this machine does not say
                continue
            self.seen.append((time.monotonic(), int(index), busy / 100, memory))
