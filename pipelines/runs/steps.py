"""The order in which a batch's clips are prepared and its jobs rendered when several are in flight at once."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import attrs

CRITICAL = 0.2
"""A clip whose own chain of work takes more than this share of what one worker has to do in all is begun first."""


@attrs.frozen
class Costs:
    """Seconds (or any unit) a frame takes: followed in order, decomposed, rendered."""

    track: float = 1.0
    decompose: float = 1.0
    render: float = 1.0


@attrs.frozen
class Step:
    """Prepare the clip ``key``, or run job number ``key``. frames: of the clip, for the order.  rank: see Ticket."""

    kind: str
    key: Any
    frames: int
    rank: tuple[float, ...] = (0.0,)


@attrs.define
class Steps:
    """Hands out steps; the caller says when each is done.

    Long clips come first, because a clip is followed frame after frame on one worker and everything else of it waits for that.
    Then jobs whose clips are ready, so that results appear early, then the other clips. Among equals the longest come first, so
    that the last ones to end are short.

    clips: frames by key (0: not known).  jobs: the clips each job needs, and the frames it renders.
    """

    clips: Mapping[Hashable, int]
    jobs: Sequence[tuple[tuple[Hashable, ...], int]]
    workers: int = 1
    costs: Costs = attrs.field(factory=Costs)
    left: int = attrs.field(init=False)
    _ready: list[tuple[tuple[float, ...], int, Step]] = attrs.field(init=False, factory=list)
    _missing: list[set[Hashable]] = attrs.field(init=False)
    _waiting: dict[Hashable, list[int]] = attrs.field(init=False, factory=dict)
    _count: int = attrs.field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self.left = len(self.clips) + len(self.jobs)
        self._missing = [set(needs) & set(self.clips) for needs, _ in self.jobs]
        for number, missing in enumerate(self._missing):
            for key in missing:
                self._waiting.setdefault(key, []).append(number)
        costs = self.costs
        render: dict[Hashable, int] = {}
        for needs, frames in self.jobs:
            for key in needs:
                render[key] = max(render.get(key, 0), frames)
        total = sum(self.clips.values()) * (costs.track + costs.decompose) + sum(f for _, f in self.jobs) * costs.render
        share = CRITICAL * total / max(1, self.workers)
        for key, frames in self.clips.items():
            chain = frames * costs.track + (frames * costs.decompose + render.get(key, 0) * costs.render) / max(1, self.workers)
            critical = chain > share
            self._push("clip", key, frames, (0.0 if critical else 2.0, -chain))
        for number, missing in enumerate(self._missing):
            if not missing:
                self._push_job(number)

    def next(self) -> Step | None:
        """The step to begin now; None when none is ready, which may change when another is done."""
        return heapq.heappop(self._ready)[2] if self._ready else None

    def done(self, step: Step) -> None:
        """A step has ended, well or badly."""
        self.left -= 1
        if step.kind == "clip":
            for number in self._waiting.pop(step.key, []):
                self._missing[number].discard(step.key)
                if not self._missing[number]:
                    self._push_job(number)

    def _push_job(self, number: int) -> None:
        frames = self.jobs[number][1]
        self._push("job", number, frames, (1.0, -float(frames)))

    def _push(self, kind: str, key: Any, frames: int, rank: tuple[float, ...]) -> None:
        self._count += 1
        heapq.heappush(self._ready, (rank, self._count, Step(kind, key, frames, (*rank, float(self._count)))))
