"""The actors of a pool: started, admitted when they are what the first one is, ended, each with its part of the run report."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import attrs

from mmfa_components.errors import EngineError, MMFAError
from pipelines.engines.ray_actor import Head, Ready
from pipelines.engines.ray_faults import worker_lost
from pipelines.reports.run_report import PoolReport, WorkerReport

STARTS = 3
"""Actors that may fail to start one after the other before the pool gives up."""


@attrs.define(eq=False)
class Member:
    """An actor. ready: None until it has started.  began: when the ticket it is at began.  idle_since: when its last one ended.
    watched: seconds of calls whose use of the GPU is known.  gpu: of these, seconds in which it was busy."""

    number: int
    handle: Any
    report: WorkerReport
    ready: Ready | None = None
    joined: float = 0.0
    began: float = 0.0
    idle_since: float = 0.0
    watched: float = 0.0
    gpu: float = 0.0

    def note(self, head: Head) -> None:
        """Add what a call did."""
        self.report.units += 1
        self.report.frames += head.frames
        self.report.busy += head.seconds
        for name, seconds in head.stages.items():
            self.report.seconds[name] = self.report.seconds.get(name, 0.0) + seconds
        if head.gpu is not None:
            self.watched += head.seconds
            self.gpu += head.gpu * head.seconds


@attrs.define
class Crew:
    """Starts and ends actors. ``start`` makes a handle; ``first`` is what the first one to be ready is, or why none gets ready."""

    start: Callable[[], Any]
    report: PoolReport = attrs.field(factory=PoolReport)
    first: Future[Ready] = attrs.field(factory=Future)
    members: dict[int, Member] = attrs.field(factory=dict)
    starting: set[int] = attrs.field(factory=set)
    failed_starts: int = 0

    def spawn(self, answered: Callable[[Member, Future[Any]], None]) -> None:
        """Start an actor; ``answered`` is called (in a thread of Ray's) when it is ready or has failed."""
        member = Member(self.report.started, self.start(), WorkerReport(self.report.started))
        self.report.started += 1
        self.members[member.number] = member
        self.starting.add(member.number)
        member.handle.ready.remote().future().add_done_callback(lambda known: answered(member, known))

    def admit(self, member: Member, known: Future[Any], say: Callable[[str], None]) -> bool:
        """Take an actor that has answered into the pool; False when it is not used.

        Raises what ended it when no actor can be started at all.
        """
        self.starting.discard(member.number)
        if member.number not in self.members:
            return False
        error = known.exception()
        found = error if error is not None else known.result()
        if isinstance(found, BaseException):
            self.dismiss(member, worker_lost(found))
            self.failed_starts += 1
            configured = isinstance(found, MMFAError)  # as in-process: told before any work
            if configured and not self.first.done():
                raise found
            if self.failed_starts >= STARTS:
                raise found if configured else EngineError(f"no worker starts: {worker_lost(found)}", where="engine.ray")
            return False
        if self.first.done() and differs(self.first.result(), found):
            text = f"worker {member.number} on {found.host} has other components or weights than the first one and is not used"
            say(text)
            self.dismiss(member, text)
            return False
        self.failed_starts = 0
        member.ready, member.joined = found, time.monotonic()
        member.idle_since = member.joined
        report = member.report
        report.host, report.node, report.process = found.host, found.node, found.process
        report.device, report.gpu = found.gpu or found.facts.device, found.number
        if not self.first.done():
            self.first.set_result(found)
        return True

    def dismiss(self, member: Member, why: str) -> None:
        """End an actor and close its report."""
        import ray

        self.members.pop(member.number, None)
        self.starting.discard(member.number)
        report = member.report
        report.ended = why
        if member.ready is not None:
            report.seconds = {name: round(value, 3) for name, value in report.seconds.items()}
            report.gpu_busy_share = round(member.gpu / member.watched, 3) if member.watched else None
            report.alive = round(time.monotonic() - member.joined, 3)
            report.idle_at_end = round(time.monotonic() - member.idle_since, 3)
            report.busy = round(report.busy, 3)
            report.busy_share = round(min(1.0, report.busy / max(report.alive, 1e-6)), 3)
            report.frames_per_second = round(report.frames / max(report.alive, 1e-6), 3)
            self.report.workers.append(report)
        ray.kill(member.handle)


def differs(one: Ready, other: Ready) -> bool:
    """Whether two actors would not give the same bytes."""
    first, second = one.facts, other.facts
    names = ("precision", "crop_size", "encoders")
    others = any(getattr(first, name) != getattr(second, name) for name in names)
    return bool(first.all() != second.all() or others)
