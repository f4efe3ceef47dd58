"""What runs on a worker of the Ray engine: components built once, units computed one after the other."""

from __future__ import annotations

import contextlib
import copy
import importlib.metadata
import os
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import attrs
import ray
import torch

from mmfa_components.records import Record
from mmfa_components.registry import ENTRY_POINT_GROUP, Registry, load_registry
from pipelines.config.schema import Pipeline
from pipelines.engines.ray_faults import worker_unfit
from pipelines.engines.ray_wire import register_tensors
from pipelines.stages.components import build_components, resolve_batch
from pipelines.stages.encoders import Encoders
from pipelines.stages.worker import Worker

KEPT = 8
"""Values (identities and pictures of portraits) a worker keeps at hand."""
CALLS = 4
"""Calls an actor answers at a time, at most: it computes one unit while those before are encoded."""
STREAM = "stream"
"""Calls that are answered one after the other, in the order they are made."""
DONE, FAILED, END = "done", "failed", "end"


@attrs.frozen(eq=False)
class Setup:
    """What a worker is built from.

    registry: None where the worker's own installation has the plugins.  folder: for relative paths.
    cpus, gpus: cores and share of a GPU that Ray gives it.
    """

    pipeline: Pipeline
    registry: Registry | None
    threads: int
    folder: str
    cpus: float = 1.0
    gpus: float = 0.0


@attrs.frozen(eq=False)
class Kept:
    """Stands for a record in Ray's object store, in a field of a unit. reference: of the object there."""

    number: int
    reference: Any


@attrs.frozen
class Head:
    """How a call went.

    state: "done", "failed" or "end" (of a stream).  frames, seconds: done and taken, without what
    went on beside other calls.  wall: seconds from the call's start to its end.  stages: seconds by
    stage.  unfit: why this machine cannot do it, when that is not the unit's fault.  gpu: share of
    the last moments in which the GPU was busy, with all who use it.
    """

    state: str
    frames: int = 0
    seconds: float = 0.0
    wall: float = 0.0
    stages: dict[str, float] = attrs.field(factory=dict)
    unfit: str = ""
    gpu: float | None = None


@attrs.frozen
class Ready:
    """A worker that can take work: what its components are, where it is.

    gpu: its name, "" without one.  number: of that GPU on its host, as Ray counts them.  calls: that
    it answers at a time.
    """

    facts: Any
    node: str
    host: str
    process: int
    gpu: str
    number: str = ""
    calls: int = 1


def portable(registry: Registry) -> Registry | None:
    """What to send of a registry: nothing when every plugin comes from an installed package, since workers then load their own."""
    installed = {e.name for e in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)}
    return None if {p.name for p in registry.plugins} <= installed else registry


class Host:
    """The body of an actor. Errors of a unit are given back as values, so that only a dead process is an error of Ray's."""

    def __init__(self, setup: Setup) -> None:
        register_tensors()
        with contextlib.suppress(OSError):
            os.chdir(setup.folder)
        torch.set_num_threads(setup.threads)
        self._frames = 0
        self._computing = threading.Lock()
        self._kept: OrderedDict[int, Any] = OrderedDict()
        self._stream: Iterator[Any] | None = None
        self.error: Exception | None = None
        try:
            components = build_components(setup.pipeline, setup.registry or load_registry())
            batch = resolve_batch(setup.pipeline.engine.batch, components.device)
            encoders = Encoders(_cores_for(setup))
            self.worker = Worker(components, batch, self._tick, encoders=encoders)
            self._watches_gpu = components.device.type == "cuda"
            gpu = torch.cuda.get_device_name() if components.device.type == "cuda" else ""
            context = ray.get_runtime_context()
            number = ",".join(context.get_accelerator_ids().get("GPU", [])) if gpu else ""
            calls = min(CALLS, 1 + encoders.threads)
            host = os.uname().nodename
            self._ready = Ready(
                components.facts, context.get_node_id(), host, os.getpid(), gpu, number, calls
            )
        except Exception as error:
            self.error = _portable_error(error)

    def ready(self) -> Ready | Exception:
        """What this worker is, or why it could not be built."""
        return self.error or self._ready

    def call(self, work: Callable[[Worker, Any], Any], unit: Any) -> tuple[Head, Any]:
        """Compute one unit."""
        return self._timed(lambda: (DONE, work(self.worker, self._filled(unit))))

    @ray.method(concurrency_group=STREAM)
    def begin(self, work: Callable[[Worker, Any], Iterator[Any]], unit: Any, span: int, skip: int) -> tuple[Head, Any]:
        """Begin a stream; steps are handed out about ``span`` frames at a time. The first ``skip`` parcels were delivered before."""
        self._stream = self._parcels(work(self.worker, self._filled(unit)), span)

        def forward() -> tuple[str, Any]:
            for _ in range(skip):
                next(self._stream)  # type: ignore[arg-type]
            return DONE, None

        return self._timed(forward)

    @ray.method(concurrency_group=STREAM)
    def step(self) -> tuple[Head, Any]:
        """The next parcel of the stream; state "end" when there is none."""

        def forward() -> tuple[str, Any]:
            parcel = next(self._stream, None) if self._stream is not None else None
            return (END, None) if parcel is None else (DONE, parcel)

        return self._timed(forward)

    @ray.method(concurrency_group=STREAM)
    def drop(self) -> None:
        """Forget the stream."""
        self._stream = None
        self.worker.frames.close()

    # ---- inside ------------------------------------------------------------------------------------------------------
    def _tick(self, frames: int) -> None:
        self._frames += frames

    def _timed(self, work: Callable[[], tuple[str, Any]]) -> tuple[Head, Any]:
        called, start, frames, unfit = time.perf_counter(), 0.0, 0, ""
        try:
            with self._computing:
                start, before = time.perf_counter(), self._frames
                try:
                    with torch.inference_mode():
                        state, result = work()
                finally:
                    frames, seconds = self._frames - before, time.perf_counter() - start
            if isinstance(result, Future):  # the next call computes while this one waits
                result = result.result()
        except Exception as error:
            state, result = FAILED, _portable_error(error)
            unfit = str(error) if worker_unfit(error) else ""
        parts = result if isinstance(result, list) else [result]
        stages: dict[str, float] = {}
        for part in parts:
            for name, value in getattr(part, "seconds", {}).items():
                stages[name] = stages.get(name, 0.0) + value
        wall = time.perf_counter() - called
        return Head(state, frames, seconds, wall, stages, unfit, self._gpu_busy()), result

    def _gpu_busy(self) -> float | None:
        if not self._watches_gpu:
            return None
        try:
            return torch.cuda.utilization() / 100
        except Exception:  # no driver library to ask (nvidia-ml-py): the report does without
            self._watches_gpu = False
            return None

    def _parcels(self, steps: Iterator[Any], span: int) -> Iterator[list[Any]]:
        parcel: list[Any] = []
        base = self._frames
        for step in steps:
            parcel.append(step)
            if self._frames - base >= span:
                yield parcel
                parcel, base = [], self._frames
        if parcel:
            yield parcel

    def _filled(self, unit: Any) -> Any:
        """``unit`` with the values in place of what stands for them, in its parts as well."""
        if isinstance(unit, Kept):
            return self._value(unit)
        if isinstance(unit, tuple) and not hasattr(unit, "_fields"):
            return tuple(self._filled(part) for part in unit)
        if isinstance(unit, Record) or not attrs.has(type(unit)):
            return unit
        parts = {f.name: getattr(unit, f.name) for f in attrs.fields(type(unit)) if f.init}
        filled = {name: self._filled(part) for name, part in parts.items()}
        changed = {name: part for name, part in filled.items() if part is not parts[name]}
        return attrs.evolve(unit, **changed) if changed else unit

    def _value(self, kept: Kept) -> Any:
        if kept.number not in self._kept:
            value = ray.get(kept.reference)
            self._kept[kept.number] = value.to(self.worker.device) if isinstance(value, Record) else value
        self._kept.move_to_end(kept.number)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return self._kept[kept.number]


def _cores_for(setup: Setup) -> int:
    """Cores for encoding: those Ray gives, and beside a GPU this worker's share of its host's."""
    if not setup.gpus:
        return max(1, int(setup.cpus))
    node = ray.get_runtime_context().get_node_id()
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    have: dict[str, float] = next((n["Resources"] for n in nodes if n["NodeID"] == node), {})
    share = setup.gpus / max(have.get("GPU", 1.0), setup.gpus)
    return max(1, int(setup.cpus), int(have.get("CPU", 1.0) * share))


def _portable_error(error: Exception) -> Exception:
    """The error with the worker's traceback as a note; as plain text when its class cannot travel."""
    trace = "on the worker:\n" + "".join(traceback.format_exception(error))
    try:
        plain = copy.copy(error)  # made anew the way the other side makes it
        if not isinstance(plain, type(error)):
            raise TypeError
    except Exception:
        plain = RuntimeError(f"{type(error).__name__}: {error}")
    plain.__cause__ = plain.__context__ = None
    plain.add_note(trace)
    return plain
