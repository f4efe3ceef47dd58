"""Which unit of work goes to which worker next. Pure bookkeeping without a clock: the Ray engine and the simulation drive the same object."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import attrs

Rank = tuple[float, ...]
RANK: ContextVar[Rank] = ContextVar("RANK", default=(0.0,))
"""Rank of the units that the running thread hands in; smaller goes first."""
DEPTH = 2
"""Units a worker holds at least: the one it computes and one more, so that it never waits for the
driver between two."""


@attrs.define(eq=False)
class Ticket:
    """A unit on its way through the pool.

    rank: smaller goes first, equal ones in the order they came.  sticky: occupies its worker until it is given back (a stream).
    load: what the engine sends.  crashes: workers that died while they computed it.  moves: those whose node went.  copies: workers it is on now.
    """

    load: Any = None
    rank: Rank = (0.0,)
    sticky: bool = False
    crashes: int = 0
    moves: int = 0
    copies: int = 0
    done: bool = False


@attrs.define
class Schedule:
    """Waiting tickets and the workers' loads.

    Tickets go out strictly by rank. A worker without anything to do is served first; when all are
    busy, each may hold as many tickets as were agreed when it joined. A sticky ticket takes a worker
    that has nothing to do, and that worker gets nothing else until it is released.
    """

    loads: dict[int, list[Ticket]] = attrs.field(factory=dict)
    _depths: dict[int, int] = attrs.field(factory=dict)
    _heap: list[tuple[Rank, int, Ticket]] = attrs.field(factory=list)
    _count: Iterator[int] = attrs.field(factory=itertools.count)

    def add(self, ticket: Ticket) -> None:
        """A ticket that waits for a worker."""
        heapq.heappush(self._heap, (ticket.rank, next(self._count), ticket))

    def join(self, worker: int, depth: int = DEPTH) -> None:
        """A new worker that is ready. depth: tickets it holds at a time."""
        self.loads[worker], self._depths[worker] = [], max(DEPTH, depth)

    def leave(self, worker: int) -> list[Ticket]:
        """A worker is gone; gives the tickets it held, the one it was computing first."""
        held = self.loads.pop(worker, [])
        for ticket in held:
            ticket.copies -= 1
        return held

    def assign(self) -> list[tuple[int, Ticket]]:
        """Hand out as many waiting tickets as fit; gives pairs of worker and ticket in the order to send them."""
        sent: list[tuple[int, Ticket]] = []
        while self._heap:
            ticket = self._heap[0][2]
            if ticket.done:
                heapq.heappop(self._heap)
                continue
            worker = self._least_loaded(1 if ticket.sticky else None)
            if worker is None:
                break
            heapq.heappop(self._heap)
            self._put(worker, ticket)
            sent.append((worker, ticket))
        return sent

    def again(self, ticket: Ticket) -> int | None:
        """Hand a ticket that some worker takes too long over to an idle one as well; gives the worker, or None when none is idle."""
        worker = self._least_loaded(1)
        if worker is not None:
            self._put(worker, ticket)
        return worker

    def finish(self, worker: int, ticket: Ticket) -> None:
        """A worker is done with a ticket, or was released by a sticky one."""
        held = self.loads.get(worker, [])
        if ticket in held:
            held.remove(ticket)
            ticket.copies -= 1

    @property
    def waiting(self) -> int:
        """Tickets that wait for a worker."""
        return sum(not ticket.done for _, _, ticket in self._heap)

    def idle(self) -> list[int]:
        """Workers that hold nothing."""
        return [worker for worker, held in self.loads.items() if not held]

    def _put(self, worker: int, ticket: Ticket) -> None:
        self.loads[worker].append(ticket)
        ticket.copies += 1

    def _least_loaded(self, below: int | None) -> int | None:
        best: int | None = None
        for worker, held in self.loads.items():
            if held and held[0].sticky:
                continue
            if len(held) < (below or self._depths[worker]) and (best is None or len(held) < len(self.loads[best])):
                best = worker
                if not held:
                    break
        return best
