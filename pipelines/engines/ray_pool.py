"""A pool of actors and the thread that feeds it: who computes what, what is tried again, who is replaced."""

from __future__ import annotations

import statistics
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from queue import Empty, SimpleQueue
from typing import Any

import attrs

from mmfa_components.errors import EngineError
from pipelines.engines.ray_actor import Head
from pipelines.engines.ray_crew import Crew, Member
from pipelines.engines.ray_faults import node_gone, worker_lost
from pipelines.engines.schedule import Schedule, Ticket
from pipelines.stages.worker import Stopped

TICK = 0.2
"""Seconds after which the pool looks for slow workers and for room to grow, when nothing happens."""
SLOW, SLOW_AT_LEAST = 4.0, 2.0
"""A unit is given to an idle worker as well when it takes this many times as long as its kind usually does, and as many seconds."""
NOT_NEEDED = 60.0
"""Seconds without work after which workers above the minimum are ended."""

MOVES = 10
"""Nodes that may go under a unit before it is suspected to be the cause."""


@attrs.frozen(eq=False)
class Load:
    """What a ticket stands for: the unit, what to do with it, and the future that gets (head, reference to the result) or a member."""

    work: Callable[..., Any]
    unit: Any
    name: str
    future: Future[Any]


class Pool:
    """Keeps ``least`` to ``most`` actors busy. All its bookkeeping is done in one thread, which is told of everything by events."""

    def __init__(self, start: Callable[[], Any], least: int, most: int, retries: int, say: Callable[[str], None]) -> None:
        self.least, self.most, self.retries, self._say = least, max(least, most), retries, say
        self.schedule = Schedule()
        self.crew = Crew(start)
        self._held: set[Ticket] = set()
        self._times: dict[str, deque[float]] = {}
        self._closing = False
        self._broken: BaseException | None = None
        self._events: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._thread = threading.Thread(target=self._loop, name="mmfa-pool", daemon=True)
        for _ in range(least):
            self._spawn()
        self._thread.start()

    # ---- called from any thread ------------------------------------------------------------------------------------------
    def submit(self, ticket: Ticket) -> None:
        """Queue a ticket; its load's future is told the outcome."""
        self._events.put(lambda: self._add(ticket))

    def release(self, member: Member, ticket: Ticket) -> None:
        """Give a member back that a sticky ticket held."""
        self._events.put(lambda: self._released(member, ticket))

    def lost(self, member: Member, ticket: Ticket, error: BaseException | None, reason: str = "") -> Future[Any]:
        """Tell that a held member died of ``error``, or is unfit for ``reason``; the future gives another one, or fails after too many."""
        fresh: Future[Any] = Future()
        self._events.put(lambda: self._moved(member, ticket, error, reason, fresh))
        return fresh

    def count(self, member: Member, head: Head) -> None:
        """Add what a held member has done to its report."""
        self._events.put(lambda: member.note(head))

    def outcome(self, future: Future[Any]) -> Any:
        """What a load's future gives. Raises Stopped when the pool is closed meanwhile, else what the future raises."""
        while True:
            try:
                return future.result(timeout=1.0)
            except TimeoutError:
                if future.done():
                    raise
                if self._closing:
                    raise Stopped from None

    def withdraw(self, ticket: Ticket) -> None:
        """Nobody wants this ticket's result any more."""
        ticket.done = True

    def close(self) -> None:
        """Stop: what waits raises Stopped, actors are ended."""
        self._events.put(self._close)
        self._thread.join(timeout=30)

    # ---- events, in the pool's thread --------------------------------------------------------------------------------------
    def _loop(self) -> None:
        looked = time.monotonic()
        while not self._closing:
            try:
                event = self._events.get(timeout=TICK)
            except Empty:
                event = None
            try:
                if event is not None:
                    event()
                now = time.monotonic()
                if not self._closing and now - looked >= TICK:
                    looked = now
                    self._look_around(now)
            except Exception as error:  # no worker can be had, or a fault of ours: it must end the run, not hang it
                self._fail_all(error)

    def _add(self, ticket: Ticket) -> None:
        if self._broken is not None:
            _fail(ticket, self._broken)
            return
        self._held.add(ticket)
        self.schedule.add(ticket)
        self._send()

    def _send(self) -> None:
        for number, ticket in self.schedule.assign():
            self._give(self.crew.members[number], ticket)

    def _give(self, member: Member, ticket: Ticket) -> None:
        load: Load = ticket.load
        if len(self.schedule.loads[member.number]) == 1:
            member.began = time.monotonic()
        if ticket.sticky:
            _settle(load.future, member)
            return
        head, body = member.handle.call.options(num_returns=2).remote(load.work, load.unit)
        head.future().add_done_callback(lambda known: self._events.put(lambda: self._answered(member, ticket, known, body)))

    def _answered(self, member: Member, ticket: Ticket, known: Future[Any], body: Any) -> None:
        error = known.exception()
        if error is not None:
            self._gone(member, error)
            return
        if member.number not in self.crew.members:
            return
        head: Head = known.result()
        self.schedule.finish(member.number, ticket)
        member.began = member.idle_since = time.monotonic()
        member.note(head)
        self._times.setdefault(ticket.load.name, deque(maxlen=50)).append(head.wall)
        if head.unfit and not ticket.done:
            self._unfit(member, ticket, head.unfit, lambda: self._finished(ticket, (head, body)))
        elif not ticket.done:
            self._finished(ticket, (head, body))
        self._send()

    def _finished(self, ticket: Ticket, value: Any) -> None:
        ticket.done = True
        self._held.discard(ticket)
        _settle(ticket.load.future, value)

    def _released(self, member: Member, ticket: Ticket) -> None:
        ticket.done = True
        self._held.discard(ticket)
        self.schedule.finish(member.number, ticket)
        member.idle_since = time.monotonic()
        self._send()

    def _moved(self, member: Member, ticket: Ticket, error: BaseException | None, reason: str, fresh: Future[Any]) -> None:
        ticket.load = attrs.evolve(ticket.load, future=fresh)
        if error is not None:
            self._gone(member, error)
            return
        self.schedule.finish(member.number, ticket)
        self._unfit(member, ticket, reason, lambda: self._set_aside(ticket, reason))
        self._send()

    # ---- faults ----------------------------------------------------------------------------------------------------------------
    def _gone(self, member: Member, error: BaseException) -> None:
        """A worker died: what it computed is tried elsewhere and counts against the unit, unless its whole node went."""
        if member.number not in self.crew.members:
            return
        held = self.schedule.leave(member.number)
        node = node_gone(error, member.report.node)
        why = f"the node {member.report.host} was lost" if node else worker_lost(error)
        self._retire(member, why, replace=True)
        self._say(f"worker {member.number} on {member.report.host} was lost ({why}); its work is done again elsewhere")
        for place, ticket in enumerate(held):
            ticket.moves += node
            if place == 0 and (not node or ticket.moves > MOVES):
                self._retry(ticket, lambda ticket=ticket: self._set_aside(ticket, why))  # type: ignore[misc]
            else:
                self._again(ticket)
        self._send()

    def _unfit(self, member: Member, ticket: Ticket, reason: str, fail: Callable[[], None]) -> None:
        """An error that is the machine's: its worker is given up, and replaced only when it was the last one."""
        self._say(f"worker {member.number} on {member.report.host} is given up ({reason}); its work is done elsewhere")
        self._retire(member, reason, replace=len(self.crew.members) == 1)
        self._retry(ticket, fail)

    def _retry(self, ticket: Ticket, fail: Callable[[], None]) -> None:
        ticket.crashes += 1
        if ticket.crashes > self.retries and not ticket.done:
            fail()
        else:
            self._again(ticket)

    def _set_aside(self, ticket: Ticket, why: str) -> None:
        ticket.done = True
        self._held.discard(ticket)
        what = f"set aside: it brought down its worker {ticket.crashes} times ({why})"
        fix = 'try this input alone with engine.name = "in_process"; engine.ray.retries says how often it is tried'
        _fail(ticket, EngineError(what, where=_place(ticket.load.unit), fix=fix))

    def _again(self, ticket: Ticket) -> None:
        if not ticket.done and ticket.copies == 0:
            self.crew.report.repeated += 1
            self.schedule.add(ticket)

    # ---- actors -------------------------------------------------------------------------------------------------------------
    def _spawn(self) -> None:
        self.crew.spawn(lambda member, known: self._events.put(lambda: self._started(member, known)))

    def _started(self, member: Member, known: Future[Any]) -> None:
        if self.crew.admit(member, known, self._say):
            self.schedule.join(member.number, known.result().calls)
            self._send()
        elif self.crew.failed_starts:
            self._spawn()

    def _retire(self, member: Member, why: str, replace: bool) -> None:
        for ticket in self.schedule.leave(member.number):
            self._again(ticket)
        self.crew.dismiss(member, why)
        if why:
            self.crew.report.lost += 1
        if replace and len(self.crew.members) < self.most:
            self._spawn()

    def _look_around(self, now: float) -> None:
        """Grow while work waits, shrink when nothing does, and hand over what a slow worker holds."""
        crew = self.crew
        if self.schedule.waiting and not crew.starting and len(crew.members) < self.most:
            self._spawn()
        idle = self.schedule.idle()
        if self.schedule.waiting or not idle:
            return
        for number in idle:
            if now - crew.members[number].idle_since > NOT_NEEDED and len(crew.members) > self.least:
                self.schedule.leave(number)
                crew.dismiss(crew.members[number], "not needed any more")
        for number, held in list(self.schedule.loads.items()):
            if not held or held[0].sticky or len(times := self._times.get(held[0].load.name, ())) < 3:
                continue
            if now - crew.members[number].began > max(SLOW_AT_LEAST, SLOW * statistics.median(times)):
                for ticket in list(held):
                    if ticket.copies == 1 and not ticket.done and (other := self.schedule.again(ticket)) is not None:
                        crew.report.handed_over += 1
                        self._give(crew.members[other], ticket)

    def _fail_all(self, error: BaseException) -> None:
        self._broken = error
        if not self.crew.first.done():
            self.crew.first.set_exception(error)
        for ticket in list(self._held):
            _fail(ticket, error)
        self._held.clear()

    def _close(self) -> None:
        self._fail_all(Stopped())
        self._closing = True
        for member in list(self.crew.members.values()):
            self.crew.dismiss(member, "")


def _settle(future: Future[Any], value: Any) -> None:
    try:
        if not future.done():
            future.set_result(value)
    except InvalidStateError:
        pass


def _fail(ticket: Ticket, error: BaseException) -> None:
    try:
        if not ticket.load.future.done():
            ticket.load.future.set_exception(error)
    except InvalidStateError:
        pass


def _place(unit: Any) -> str:
    path, start = getattr(unit, "path", None), getattr(unit, "start", None)
    text = str(path) if path is not None else "rendering"
    return f"{text}, from frame {start}" if start is not None else text
