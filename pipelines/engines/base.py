"""The seam between what is done (units of work, in pipelines.stages) and where it runs (an engine)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

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

    def keep(self, value: Record) -> Any:
        """What stands for a record in the fields of units; an engine with workers elsewhere sends it to each of them once."""
        ...

    def map(self, work: Callable[[Worker, U], T], units: Iterable[U]) -> Iterator[T]:
        """``work`` of every unit, in order; a few units ahead of the one that is being consumed, never all."""
        ...

    def stream(self, work: Callable[[Worker, U], Iterator[T]], unit: U) -> Iterator[T]:
        """The steps of one unit that has to run in order on one worker."""
        ...

    def close(self) -> None:
        """Stop at the next batch and give back what the engine holds."""
        ...
