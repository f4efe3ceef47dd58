"""What makes the studio's pictures: one animator for all pages, on the in-process engine, behind awaitable calls."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any, Generic, TypeVar

import attrs
import torch
from PIL import Image
from rich.console import Console
from torch import Tensor

from mmfa_components.records import Record
from mmfa_components.registry import Registry
from pipelines.config.faults import Faults
from pipelines.config.schema import Cache, Part, Pipeline
from pipelines.editing.latent_shift import LatentSpace, build_space, check_vae
from pipelines.engines.in_process import InProcessEngine
from pipelines.reports.run_report import PoolReport
from pipelines.runs.clips import Clip, Preparation, input_report
from pipelines.runs.progress import Progress, Step, watched
from pipelines.stages.components import Facts
from pipelines.stages.crop import crop_frames
from pipelines.stages.encode import Portrait, StillUnit, encode_still
from pipelines.stages.frames import to_bytes
from pipelines.stages.render import RenderUnit, render_span
from pipelines.stages.store import Store
from pipelines.stages.transfer import find_reference
from pipelines.stages.worker import Worker

T = TypeVar("T")
U = TypeVar("U")
VAE = Part()
DIRECTIONS = 6
"""Sliders along the expression's latent space."""
SPAN = 8
"""Frames in one unit of work: short, so that a picture for one page does not wait long behind the clip of another."""


class StudioWorker:
    """Encodes portraits, reads clips and renders single frames. Units of work of all pages take turns on one engine.

    It is built at the first call; ConfigError, PluginError or WeightsError come from there.
    """

    def __init__(self, pipeline: Pipeline, registry: Registry) -> None:
        self.pipeline, self.registry = pipeline, registry
        self._engine: InProcessEngine | None = None
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="mmfa-studio")
        self._building = asyncio.Lock()
        self._reading = asyncio.Lock()

    async def engine(self) -> InProcessEngine:
        """The engine, built when it is not there yet."""
        async with self._building:
            if self._engine is None:
                self._engine = await self.call(lambda: InProcessEngine(self.pipeline, self.registry, lambda frames: None))
            return self._engine

    async def call(self, work: Callable[[], T]) -> T:
        """``work()`` in a thread of its own, with the caller's context."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, copy_context().run, work)

    async def portrait(self, path: Path) -> Portrait:
        """Find the face of a picture and encode it, once. Raises MediaError or NoFaceError."""
        engine = await self.engine()
        return await self.call(lambda: next(iter(engine.map(encode_still, [StillUnit(path, self.pipeline.face)]))))

    async def clip(self, path: Path, cache: Path, watcher: Callable[[Step], None]) -> tuple[Clip, int]:
        """Follow the face of a video and read its motion into ``cache``; gives the clip and its reference frame.

        One clip at a time, whosever it is. ``watcher`` is told every step and may raise KeyboardInterrupt to stop.
        Raises MediaError or NoFaceError, or the stop as an exception of its own.
        """
        engine = await self.engine()

        def read() -> tuple[Clip, int]:
            store = Store(Cache(str(cache), "use"), self.registry.records, lambda text: None)
            try:
                with watched(watcher):
                    progress = Progress(Console(file=io.StringIO()), 1)
                preparation = Preparation(_Counted(engine, progress, engine.facts), store, progress, SPAN)
                clip = preparation.clip(path, self.pipeline.face, input_report(path, "video"))
                return clip, find_reference(clip.motion, clip.track, "auto", path.name, engine.facts.motion, neutral=clip.neutral)
            except KeyboardInterrupt as error:
                raise _StoppedError from error
            finally:
                store.close()

        async with self._reading:
            return await self.call(read)

    async def latent(self, features: int) -> tuple[LatentSpace, list[int]] | None:
        """The expression's latent space for features of so many numbers, and its strongest units; None when its weights are not here.

        Raises ConfigError, PluginError or WeightsError when they are, but do not fit.
        """
        faults = Faults()
        check_vae(VAE, self.pipeline.face.landmarks.name, self.pipeline.weights, self.registry, faults)
        if faults.items:
            return None
        space = await self.call(lambda: build_space(VAE, self.pipeline.weights, self.registry))
        return space, await self.call(lambda: space.strongest(DIRECTIONS, features))

    async def picture(self, portrait: Portrait, motion: Record) -> Tensor:
        """One frame (S, S, 3) uint8 of the portrait with ``motion`` (N = 1)."""
        engine = await self.engine()
        unit = RenderUnit(0, motion, portrait.motion, portrait.identity)
        span = await self.call(lambda: next(iter(engine.map(render_span, [unit]))))
        return span.rgb[0]

    def close(self) -> None:
        """Stop at the next batch."""
        if self._engine is not None:
            self._engine.close()
        self._threads.shutdown(wait=True, cancel_futures=True)


class _StoppedError(Exception):
    """The page does not want this any more."""


@attrs.define
class _Counted:
    """The shared engine as one clip sees it: frames are counted for its own progress."""

    engine: InProcessEngine
    progress: Progress
    facts: Facts
    workers: int = 1
    jobs_at_once: int = 1
    report: PoolReport | None = None

    def keep(self, value: Record | Tensor) -> Any:
        return self.engine.keep(value)

    def map(
        self, work: Callable[[Worker, U], T | Future[T]], units: Iterable[U]
    ) -> Iterator[T]:
        for span in self.engine.map(work, units):
            self.progress.advance(len(getattr(span, "found", ())))
            yield span

    def stream(self, work: Callable[[Worker, U], Iterator[T]], unit: U) -> Iterator[T]:
        for step in self.engine.stream(work, unit):
            self.progress.advance(len(getattr(step, "pts", ())))
            yield step

    def stop(self) -> None:
        """The engine belongs to all: one clip is stopped by its watcher."""

    def close(self) -> None:
        """See :meth:`stop`."""


class Latest(Generic[T]):
    """Does ``work`` on the newest value only: while it is busy, newer values replace the one that waits, so nothing queues up."""

    def __init__(self, work: Callable[[T], Awaitable[None]]) -> None:
        self.work = work
        self._waiting: list[T] = []
        self._task: asyncio.Task[None] | None = None

    def put(self, value: T) -> None:
        """Ask for ``value``; must be called from the event loop."""
        self._waiting = [value]
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def busy(self) -> bool:
        """True while a value is being worked on."""
        return self._task is not None and not self._task.done()

    def stop(self) -> None:
        """Forget what waits."""
        self._waiting = []

    async def _run(self) -> None:
        while self._waiting:
            await self.work(self._waiting.pop())


def as_jpeg(rgb: Tensor, quality: int = 90) -> bytes:
    """A picture (H, W, 3) uint8 as the bytes of a JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(rgb.numpy()).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def portrait_crop(portrait: Portrait, size: int = 384) -> Tensor:
    """The face of a portrait (size, size, 3) uint8, cut out as the animator sees it."""
    return to_bytes(crop_frames(portrait.rgb[None], portrait.square, size, torch.device("cpu"), fill=True).rgb)[0]


def data_url(jpeg: bytes) -> str:
    """The bytes of a JPEG as an address."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
