"""The seam between what is done (units of work, in pipelines.stages) and where it runs (an engine)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from torch import Tensor

from mmfa_components.records import Record
from pipelines.reports.run_report import PoolReport
from pipelines.stages.components import Facts
from pipelines.stages.worker import Worker

U = TypeVar("U")
T = TypeVar("T")


class Engine(Protocol):
    """Runs units of work on one or more workers.

    A unit is plain data (records, paths, options); ``work`` is a function of pipelines.stages. Every engine gives the same bytes,
    because spans, batches and order are decided before.
    """

    facts: Facts
    workers: int
    """Workers, at most."""
    jobs_at_once: int
    """Clips and results in flight; with 1 everything runs one after the other in the calling thread."""

    @property
    def report(self) -> PoolReport | None:
        """What each worker did, for engines that have several."""
        ...

    def keep(self, value: Record | Tensor) -> Any:
        """What stands for a record or a picture in the fields of units.

        An engine with workers elsewhere sends it to each of them once; records arrive on their
        device, tensors on the CPU.
        """
        ...

    def map(
        self, work: Callable[[Worker, U], T | Future[T]], units: Iterable[U]
    ) -> Iterator[T]:
        """``work`` of every unit, in order; a few units ahead of the one that is being consumed.

        A worker computes one unit after the other. Where ``work`` gives a future, the rest of it
        goes on beside the next units.
        """
        ...

    def stream(self, work: Callable[[Worker, U], Iterator[T]], unit: U) -> Iterator[T]:
        """The steps of one unit that has to run in order on one worker."""
        ...

    def stop(self) -> None:
        """End running work soon, by Stopped in the threads that wait for it; called when the user stops the run."""
        ...

    def close(self) -> None:
        """Stop at the next batch and give back what the engine holds."""
        ...
