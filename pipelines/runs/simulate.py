"""A batch in virtual time: the real order of work (Steps, Schedule) with workers that only let time pass.

Used for the planner's estimate of wall time and for the scale-out figures; nothing is computed and no clock is waited for.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from typing import Any

import attrs

from pipelines.engines.schedule import Schedule, Ticket
from pipelines.runs.steps import Costs, Step, Steps


@attrs.frozen
class Model:
    """What a run is like. costs: seconds a frame.  write: seconds a frame to paste, encode and write, in the driver.

    overhead: seconds a unit costs beside its frames.  start: seconds until workers are ready.  window, jobs: as in engine.ray, 0 as
    there.  writers: jobs whose frames can be encoded at the same time.
    """

    costs: Costs
    write: float = 0.0
    overhead: float = 0.002
    start: float = 0.0
    workers: int = 1
    span: int = 64
    window: int = 0
    jobs: int = 0
    writers: int = 8


@attrs.frozen
class Outcome:
    """wall: seconds.  busy: seconds all workers together computed.  bound: seconds that no order of work can beat (all the work
    shared evenly, or the longest chain).  efficiency: busy over workers x wall."""

    wall: float
    busy: float
    bound: float
    workers: int

    @property
    def efficiency(self) -> float:
        """Share of the workers' time that was spent computing."""
        return self.busy / (self.workers * self.wall) if self.wall else 1.0


class _Event:
    """Something a thread can wait for."""

    def __init__(self) -> None:
        self.happened = False
        self.then: list[Callable[[], None]] = []

    def happen(self) -> None:
        self.happened = True
        for action in self.then:
            action()


class Simulation:
    """One run. clips, jobs: as for Steps."""

    def __init__(self, clips: Mapping[Hashable, int], jobs: Sequence[tuple[tuple[Hashable, ...], int]], model: Model) -> None:
        self.model, self.now, self.busy = model, 0.0, 0.0
        self.steps = Steps(clips, jobs, model.workers, model.costs)
        self.schedule = Schedule()
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._computing: set[int] = set()
        self._seconds: dict[Ticket, tuple[float, _Event]] = {}
        self._sleeping = 0
        self._writing, self._to_write = 0, deque[tuple[float, _Event]]()
        self._bound = self._lower_bound(clips, jobs)

    def run(self) -> Outcome:
        """Let it all happen."""
        model = self.model
        for worker in range(model.workers):
            self._at(model.start, lambda worker=worker: self._join(worker))  # type: ignore[misc]
        self._sleeping = model.jobs or (1 if model.workers == 1 else 2 * model.workers + 2)
        self._wake()
        while self._queue:
            self.now, _, action = heapq.heappop(self._queue)
            action()
        return Outcome(self.now, self.busy, model.start + self._bound, model.workers)

    def _lower_bound(self, clips: Mapping[Hashable, int], jobs: Sequence[tuple[tuple[Hashable, ...], int]]) -> float:
        costs, workers = self.model.costs, self.model.workers
        total = sum(clips.values()) * (costs.track + costs.decompose) + sum(f for _, f in jobs) * costs.render
        chain = max((frames * (costs.track + (costs.decompose + costs.render) / workers) for frames in clips.values()), default=0.0)
        return max(total / workers, chain)

    # ---- threads -----------------------------------------------------------------------------------------------------------
    def _wake(self) -> None:
        """Threads that have nothing to do take the steps that are ready."""
        while self._sleeping and (step := self.steps.next()) is not None:
            self._sleeping -= 1
            self._advance(self._step(step))

    def _advance(self, thread: Generator[_Event, None, None]) -> None:
        for event in thread:
            if not event.happened:
                event.then.append(lambda: self._advance(thread))
                return

    def _step(self, step: Step) -> Generator[_Event, None, None]:
        costs = self.model.costs
        if step.kind == "clip":
            yield self._submit(step.frames * costs.track, step.rank, sticky=True)
            yield from self._map(step.frames, costs.decompose, 0.0, step.rank)
        else:
            yield from self._map(step.frames, costs.render, self.model.write, step.rank)
        self.steps.done(step)
        self._sleeping += 1
        self._wake()

    def _map(self, frames: int, cost: float, write: float, rank: tuple[float, ...]) -> Generator[_Event, None, None]:
        window = self.model.window or 2 * self.model.workers + 2
        waiting: deque[tuple[_Event, int]] = deque()
        for start in range(0, frames, self.model.span):
            length = min(self.model.span, frames - start)
            waiting.append((self._submit(length * cost, rank), length))
            if len(waiting) >= window:
                event, length = waiting.popleft()
                yield event
                yield self._write(length * write)
        while waiting:
            event, length = waiting.popleft()
            yield event
            yield self._write(length * write)

    def _write(self, seconds: float) -> _Event:
        event = _Event()
        self._to_write.append((seconds, event))
        self._writers()
        return event

    def _writers(self) -> None:
        while self._to_write and self._writing < self.model.writers:
            seconds, event = self._to_write.popleft()
            if not seconds:
                event.happen()
                continue
            self._writing += 1

            def written(event: _Event = event) -> None:
                self._writing -= 1
                event.happen()
                self._writers()

            self._at(self.now + seconds, written)

    # ---- workers -----------------------------------------------------------------------------------------------------------
    def _submit(self, seconds: float, rank: tuple[float, ...], sticky: bool = False) -> _Event:
        ticket, event = Ticket(rank=rank, sticky=sticky), _Event()
        self._seconds[ticket] = seconds, event
        self.schedule.add(ticket)
        self._assign()
        return event

    def _join(self, worker: int) -> None:
        self.schedule.join(worker)
        self._assign()

    def _assign(self) -> None:
        for worker, _ in self.schedule.assign():
            self._compute(worker)

    def _compute(self, worker: int) -> None:
        """Begin with what a worker holds first, unless it is at something."""
        held = self.schedule.loads[worker]
        if not held or worker in self._computing:
            return
        self._computing.add(worker)
        ticket = held[0]
        seconds, event = self._seconds.pop(ticket)

        def done() -> None:
            self.busy += seconds
            self._computing.discard(worker)
            self.schedule.finish(worker, ticket)
            self._compute(worker)
            self._assign()
            event.happen()

        self._at(self.now + seconds + self.model.overhead, done)

    def _at(self, time: float, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (time, self._count, action))


def simulate(clips: Mapping[Any, int], jobs: Sequence[tuple[tuple[Any, ...], int]], model: Model) -> Outcome:
    """Run a batch in virtual time."""
    return Simulation(clips, jobs, model).run()
