"""What a unit of work runs with: built components, open clips, and the means to report progress and to stop early."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs
import torch

from mmfa_components.kinds import Animator
from mmfa_components.records import MotionKind
from pipelines.stages.components import Components, FaceFinder
from pipelines.stages.encoders import Encoders
from pipelines.stages.frames import FrameSource


class Stopped(Exception):  # noqa: N818 - not an error: the user asked for it
    """The run is being stopped; a unit of work ends at its next batch."""


@attrs.define
class Worker:
    """One place where units run.

    ``tick`` is told the number of frames done since the last call.  encoders: threads beside the one
    that computes, which encode what it renders.
    """

    components: FaceFinder
    batch: int
    tick: Callable[[int], None] = attrs.field(default=lambda frames: None)
    frames: FrameSource = attrs.field(factory=FrameSource)
    stop: threading.Event = attrs.field(factory=threading.Event)
    encoders: Encoders = attrs.field(factory=lambda: Encoders(cores()))

    @property
    def device(self) -> torch.device:
        """Where the components live."""
        return self.components.device

    @property
    def animator(self) -> Animator:
        """The animator, of a worker that was given one."""
        assert isinstance(self.components, Components), "this worker only finds faces"
        return self.components.animator

    @property
    def motion(self) -> MotionKind:
        """What the animator's motion is."""
        assert isinstance(self.components, Components), "this worker only finds faces"
        return self.components.facts.motion

    def close(self) -> None:
        """Wait for what is being encoded, and close the clips."""
        self.encoders.close()
        self.frames.close()

    def done(self, frames: int) -> None:
        """Report ``frames`` more as done. Raises Stopped when the run is being stopped."""
        self.tick(frames)
        if self.stop.is_set():
            raise Stopped


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Stopwatch:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the block to stage ``name``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def add(self, seconds: dict[str, float]) -> None:
        """Add another stopwatch's seconds."""
        for name, value in seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + value
