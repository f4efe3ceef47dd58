"""The Ray engine: the same units of work on a pool of actors, on this machine or on a cluster."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

import torch
from torch import Tensor

from mmfa_components.records import Record
from mmfa_components.registry import Registry
from pipelines.config.schema import Pipeline
from pipelines.engines.ray_actor import (
    CALLS,
    END,
    FAILED,
    STREAM,
    Head,
    Host,
    Kept,
    Setup,
    portable,
)
from pipelines.engines.ray_cluster import connect, size_of_pool
from pipelines.engines.ray_crew import Member
from pipelines.engines.ray_pool import Load, Pool
from pipelines.engines.ray_wire import register_tensors
from pipelines.engines.schedule import RANK, Ticket
from pipelines.reports.run_report import PoolReport
from pipelines.stages.components import Facts

U = TypeVar("U")
T = TypeVar("T")
STEPS_AHEAD = 2
"""Parcels of a stream that are computed ahead of the one that is being stored."""


class RayEngine:
    """Runs units on actors, each with components of its own; see docs/ray.md.

    Args:
        pipeline, registry: as of every engine; actors load their own registry when all plugins are installed packages.
        tick: is told of frames that are done, in the thread that asked for them.
        say: is told, in a sentence, of workers that were lost.

    Raises PluginError without Ray, EngineError when it cannot be started or no worker starts, and what building components raises.
    """

    def __init__(self, pipeline: Pipeline, registry: Registry, tick: Callable[[int], None], say: Callable[[str], None] = lambda text: None) -> None:
        import ray

        options = pipeline.engine.ray
        if pipeline.engine.threads:
            torch.set_num_threads(pipeline.engine.threads)
        self._tick, self._span = tick, pipeline.engine.span
        self._numbers = itertools.count()
        self._stop_ray = connect(options)
        try:
            register_tensors()
            size = size_of_pool(pipeline.engine, ray.cluster_resources())  # type: ignore[no-untyped-call]
            setup = ray.put(
                Setup(pipeline, portable(registry), size.threads, os.getcwd(), size.cpus, size.gpus)
            )
            actor = ray.remote(concurrency_groups={STREAM: 1})(Host)  # type: ignore[call-overload]
            spread = {"max_concurrency": CALLS, "max_restarts": 0, "max_task_retries": 0, "scheduling_strategy": "SPREAD"}

            def start() -> Any:
                return actor.options(num_cpus=size.cpus, num_gpus=size.gpus, **spread).remote(setup)

            self.workers = size.most
            self.jobs_at_once = options.jobs or 2 * size.most + 2
            self._pool = Pool(start, size.least, size.most, options.retries, say)
            first = self._pool.crew.first.result()
            self.facts: Facts = first.facts
            self.window = options.window or first.calls * size.most + 2
        except BaseException:
            self.close()
            raise

    @property
    def report(self) -> PoolReport | None:
        """What the workers did; complete once the engine is closed."""
        return self._pool.crew.report

    def keep(self, value: Record | Tensor) -> Any:
        """See Engine: the value is put into the object store once, and each actor that needs it fetches it once."""
        import ray

        return Kept(next(self._numbers), ray.put(value))

    def map(self, work: Callable[..., T | Future[T]], units: Iterable[U]) -> Iterator[T]:
        """See Engine."""
        waiting: deque[Ticket] = deque()
        rank = RANK.get()
        try:
            for unit in units:
                waiting.append(self._submit(work, unit, rank))
                if len(waiting) >= self.window:
                    yield self._result(waiting.popleft())
            while waiting:
                yield self._result(waiting.popleft())
        finally:
            for ticket in waiting:
                self._pool.withdraw(ticket)

    def stream(self, work: Callable[..., Iterator[T]], unit: U) -> Iterator[T]:
        """See Engine. When the worker dies, another one computes the steps again; those that were given are not given twice."""
        import ray

        ticket = Ticket(Load(work, unit, work.__name__, Future()), RANK.get(), sticky=True)
        self._pool.submit(ticket)
        future, given = ticket.load.future, 0
        while True:
            member: Member = self._pool.outcome(future)
            under_way = deque([member.handle.begin.options(num_returns=2).remote(work, unit, self._span, given)])
            try:
                while True:
                    while len(under_way) <= STEPS_AHEAD:
                        under_way.append(member.handle.step.options(num_returns=2).remote())
                    try:
                        head, body = ray.get(list(under_way.popleft()))
                    except ray.exceptions.RayError as error:
                        future = self._pool.lost(member, ticket, error)
                        break
                    self._pool.count(member, head)
                    self._tick(head.frames)
                    if head.unfit:
                        future = self._pool.lost(member, ticket, None, head.unfit)
                        break
                    if head.state == FAILED:
                        raise body
                    if head.state == END:
                        self._pool.release(member, ticket)
                        return
                    if body is not None:
                        given += 1
                        yield from body
            except BaseException:
                member.handle.drop.remote()
                self._pool.release(member, ticket)
                raise

    def stop(self) -> None:
        """See Engine."""
        if hasattr(self, "_pool"):
            self._pool.close()

    def close(self) -> None:
        """See Engine."""
        import ray

        self.stop()
        if self._stop_ray and ray.is_initialized():
            ray.shutdown()

    def _submit(self, work: Callable[..., Any], unit: Any, rank: tuple[float, ...]) -> Ticket:
        ticket = Ticket(Load(work, unit, work.__name__, Future()), rank)
        self._pool.submit(ticket)
        return ticket

    def _result(self, ticket: Ticket) -> Any:
        import ray

        while True:
            head, body = self._pool.outcome(ticket.load.future)
            try:
                result = ray.get(body)
            except ray.exceptions.RayError:  # it was lost with its node after it was done
                ticket = self._submit(ticket.load.work, ticket.load.unit, ticket.rank)
                continue
            assert isinstance(head, Head)
            self._tick(head.frames)
            if head.state == FAILED:
                raise result
            return result
