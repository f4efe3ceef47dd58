"""The in-process engine: one worker in a thread of this process, a little ahead of the main thread, which writes files."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from torch import Tensor

from mmfa_components.records import Record
from mmfa_components.registry import Registry
from pipelines.config.schema import Pipeline
from pipelines.reports.run_report import PoolReport
from pipelines.stages.components import Facts, build_components, resolve_batch
from pipelines.stages.worker import Worker

U = TypeVar("U")
T = TypeVar("T")
AHEAD = 1
"""Units computed ahead of the one that is wanted next; beside them is what the encoders are at."""


class InProcessEngine:
    """Runs all units on the device of this process. Networks run under inference mode; their precision is their own concern."""

    workers = jobs_at_once = 1
    report: PoolReport | None = None

    def __init__(self, pipeline: Pipeline, registry: Registry, tick: Callable[[int], None], say: Callable[[str], None] = lambda text: None) -> None:
        if pipeline.engine.threads:
            torch.set_num_threads(pipeline.engine.threads)
        components = build_components(pipeline, registry)
        self.facts: Facts = components.facts
        self.worker = Worker(components, resolve_batch(pipeline.engine.batch, components.device), tick)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="mmfa-worker")

    def keep(self, value: Record | Tensor) -> Any:
        """See Engine."""
        return value

    def map(
        self, work: Callable[[Worker, U], T | Future[T]], units: Iterable[U]
    ) -> Iterator[T]:
        """See Engine."""
        waiting: deque[Future[T | Future[T]]] = deque()
        beside: deque[T | Future[T]] = deque()
        try:
            for unit in units:
                waiting.append(self._pool.submit(self._call, work, unit))
                if len(waiting) > AHEAD:
                    beside.append(waiting.popleft().result())
                while beside and (_is_made(beside[0]) or len(beside) > self.worker.encoders.threads):
                    yield _made(beside.popleft())
            while waiting:
                beside.append(waiting.popleft().result())
                while beside and _is_made(beside[0]):
                    yield _made(beside.popleft())
            while beside:
                yield _made(beside.popleft())
        finally:
            for future in waiting:
                future.cancel()

    def stream(self, work: Callable[[Worker, U], Iterator[T]], unit: U) -> Iterator[T]:
        """See Engine."""
        steps = work(self.worker, unit)
        end = object()

        def step() -> Any:
            with torch.inference_mode():
                return next(steps, end)

        future = self._pool.submit(step)
        try:
            while (result := future.result()) is not end:
                future = self._pool.submit(step)
                yield result
        finally:
            future.cancel()

    def stop(self) -> None:
        """See Engine."""
        self.worker.stop.set()

    def close(self) -> None:
        """See Engine."""
        self.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.worker.close()

    def _call(self, work: Callable[[Worker, U], T], unit: U) -> T:
        with torch.inference_mode():
            return work(self.worker, unit)


def _is_made(value: T | Future[T]) -> bool:
    return not isinstance(value, Future) or value.done()


def _made(value: T | Future[T]) -> T:
    return value.result() if isinstance(value, Future) else value
