"""What makes the studio's pictures: one animator for all pages, on the in-process engine, behind awaitable calls."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any, Generic, TypeVar

from PIL import Image
from rich.console import Console
from torch import Tensor

from mmfa_components.records import Motion
from mmfa_components.registry import Registry
from pipelines.config.schema import Cache, Pipeline
from pipelines.engines.clips import Clip, Preparation, input_report
from pipelines.engines.in_process import InProcessEngine
from pipelines.engines.progress import Progress, Step, watched
from pipelines.stages.encode import Portrait, StillUnit, encode_still
from pipelines.stages.render import RenderUnit, render_span
from pipelines.stages.store import Store

T = TypeVar("T")
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

    async def clip(self, path: Path, cache: Path, watcher: Callable[[Step], None]) -> Clip:
        """Follow the face of a video and read its motion into ``cache``. Raises MediaError or NoFaceError.

        ``watcher`` may raise KeyboardInterrupt to stop; that passes through as asyncio.CancelledError.
        """
        engine = await self.engine()

        def read() -> Clip:
            store = Store(Cache(str(cache), "use"), self.registry.records, lambda text: None)
            try:
                with watched(watcher):
                    progress = Progress(Console(file=io.StringIO()), 1)
                return Preparation(engine, store, progress, SPAN).clip(path, self.pipeline.face, input_report(path, "video"))
            except KeyboardInterrupt as error:
                raise asyncio.CancelledError from error
            finally:
                store.close()

        return await self.call(read)

    async def picture(self, portrait: Portrait, motion: Motion) -> Tensor:
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


def face_thumbnail(portrait: Portrait, size: int = 320) -> Any:
    """The whole picture of a portrait, at most ``size`` pixels on a side, as a PIL image."""
    image = Image.fromarray(portrait.rgb.numpy())
    image.thumbnail((size, size), Image.Resampling.LANCZOS)
    return image
