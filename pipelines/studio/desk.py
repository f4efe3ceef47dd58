"""The desk of one page: its portrait, its clip, its settings, and the picture that follows them. Knows nothing of the page's looks."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import torch

from mmfa_components.errors import MMFAError
from mmfa_components.geometry.edit import Take, apply_edit
from mmfa_components.records import HEAD, Record
from pipelines.editing.latent_shift import LatentSpace
from pipelines.runs.clips import Clip
from pipelines.runs.failures import describe
from pipelines.runs.progress import Step
from pipelines.stages.encode import Portrait
from pipelines.studio.job import Job
from pipelines.studio.recipe import Recipe, write_recipe
from pipelines.studio.sessions import Session
from pipelines.studio.settings import Settings
from pipelines.studio.uploads import Slot, Upload
from pipelines.studio.worker import Latest, StudioWorker, as_jpeg

LOG = logging.getLogger("mmfa.studio")


@attrs.define
class Side:
    """One of the two inputs: the file, what is being done with it, or what was wrong with it."""

    upload: Upload | None = None
    shown: str = ""
    state: str = ""
    error: str = ""
    remedy: str = ""


class Desk:
    """What one page works on.

    changed: called when a side or readiness changed.  pictured: called with each new picture (JPEG) and the seconds it took.
    """

    def __init__(self, session: Session, worker: StudioWorker, changed: Callable[[], None], pictured: Callable[[bytes, float], None]) -> None:
        self.session, self.worker, self.changed, self.pictured = session, worker, changed, pictured
        self.sides: dict[Slot, Side] = {"portrait": Side(), "clip": Side()}
        self.portrait: Portrait | None = None
        self.clip: Clip | None = None
        self.reference: Record | None = None
        self.space: LatentSpace | None = None
        self.directions: list[int] | None = None
        """The latent space's strongest units; None: not known yet, []: there is no VAE here."""
        self.moment = 0
        self.settings = Settings()
        self.problem = ""
        self.cache = session.new_folder("cache")
        self.run_folder: Path | None = None
        self._latest: Latest[float] = Latest(self._draw)
        self._tasks: set[asyncio.Task[Any]] = set()

    # ---- inputs --------------------------------------------------------------------------------------------------
    def take(self, slot: Slot, upload: Upload) -> None:
        """Use a file that was taken in; what was in its place is removed. Returns at once, the work goes on behind it."""
        side = self.sides[slot]
        if side.upload is not None:
            self.session.forget(side.upload.path)
        self.sides[slot] = side = Side(upload, self.session.offer(upload.path, upload.name))
        if slot == "portrait":
            self.portrait = None
            self._start(self._portrait(side, upload))
        else:
            self.clip = self.reference = None
            self.moment = 0
            self._start(self._clip(side, upload))
        self.changed()

    async def _portrait(self, side: Side, upload: Upload) -> None:
        side.state = "Finding the face …"
        self.changed()
        try:
            portrait = await self.worker.portrait(upload.path)
            if self.directions is None:
                await self._find_directions(portrait)
        except Exception as error:
            return self._failed("portrait", side, error)
        if self.sides["portrait"] is side:
            side.state, self.portrait = "", portrait
            self.changed()
            self.draw()

    async def _find_directions(self, portrait: Portrait) -> None:
        try:
            found = await self.worker.latent(getattr(portrait.motion, HEAD.feature).shape[1])
        except MMFAError as error:
            LOG.warning("%s", error)
            found = None
        self.space, self.directions = found if found is not None else (None, [])

    async def _clip(self, side: Side, upload: Upload) -> None:
        side.state = "Waiting for its turn …"
        self.changed()
        loop = asyncio.get_running_loop()

        def watch(step: Step) -> None:
            if self.session.closed or self.sides["clip"] is not side:
                raise KeyboardInterrupt
            verb = "Reading the motion" if step.text.startswith("decompose") else "Following the face"
            known = f": frame {step.count}" + (f" of {step.total}" if step.total else "") if step.count else " …"
            loop.call_soon_threadsafe(self._say, side, verb + known)

        try:
            clip, reference = await self.worker.clip(upload.path, self.cache, watch)
        except Exception as error:
            return self._failed("clip", side, error)
        if self.sides["clip"] is side:
            side.state, self.clip, self.reference = "", clip, clip.motion.read(reference, reference + 1)
            self.moment = reference
            self.changed()
            self.draw()

    def _say(self, side: Side, text: str) -> None:
        if side.state and not self.session.closed:
            side.state = text
            self.changed()

    def _failed(self, slot: Slot, side: Side, error: Exception) -> None:
        if self.sides[slot] is not side or self.session.closed:
            return
        if side.upload is not None:
            self.session.forget(side.upload.path)
        report = describe(error, "")
        if report.trace:
            LOG.error("%s", report.trace)
        self.sides[slot] = Side(error=sentence(report.what), remedy=sentence(report.fix))
        self.changed()

    # ---- the result ----------------------------------------------------------------------------------------------
    async def job(self) -> tuple[Job, Recipe]:
        """The recipe of the present settings, and the job that runs it here. Only one result is kept: the one before it is removed."""
        portrait, clip = self.sides["portrait"].upload, self.sides["clip"].upload if self.clip is not None else None
        assert portrait is not None
        if self.run_folder is not None:
            await self.worker.call(partial(shutil.rmtree, self.run_folder, True))
        self.run_folder = folder = self.session.new_folder("run")
        engine, worker = await self.worker.engine(), self.worker
        recipe = await worker.call(partial(write_recipe, folder, worker.pipeline, engine.facts.precision, self.settings, portrait, clip))
        here = {"output.folder": str(folder / "result"), "cache.folder": str(self.cache), "engine.device": worker.pipeline.engine.device}
        return Job(recipe.path, [f"{key}={value}" for key, value in here.items()], worker.registry), recipe

    # ---- the picture ---------------------------------------------------------------------------------------------
    def change(self, **values: Any) -> None:
        """Change settings and draw anew."""
        self.settings = attrs.evolve(self.settings, **values)
        self.draw()

    def show_moment(self, frame: int) -> None:
        """Show the clip's frame ``frame``."""
        if self.clip is not None:
            self.moment = min(max(frame, 0), self.clip.frames - 1)
            self.draw()

    def draw(self) -> None:
        """Ask for the picture of the present settings; the newest request wins."""
        if self.portrait is not None and not self.session.closed:
            self._latest.put(time.monotonic())

    def motion(self) -> Record:
        """The motion (N = 1) the present settings stand for."""
        assert self.portrait is not None
        takes, second = {}, 0.0
        if self.clip is not None and self.reference is not None:
            takes[""] = Take(self.clip.motion.read(self.moment, self.moment + 1), self.reference)
            second = self.moment / float(self.clip.info.rate or 25)
        motion = apply_edit(self.portrait.motion, self.settings.edit(bool(takes)), takes, torch.tensor([second]), HEAD)
        return motion if self.space is None else self.space.shift(motion, self.settings.latent, HEAD)

    async def _draw(self, asked: float) -> None:
        portrait = self.portrait
        if portrait is None or self.session.closed:
            return
        try:
            rgb = await self.worker.picture(portrait, self.motion())
            picture = await self.worker.call(lambda: as_jpeg(rgb))
        except Exception as error:
            self.problem = sentence(describe(error, "").what)
            return self.changed()
        if self.portrait is portrait and not self.session.closed:
            self.problem = ""
            self.pictured(picture, time.monotonic() - asked)

    def close(self) -> None:
        """Stop what is going on; clip reading ends at its next step."""
        self._latest.stop()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def sentence(text: str) -> str:
    """``text`` with a capital letter and a full stop, as it is shown on the page."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?", "…")) or not text else ".")


def problem(error: MMFAError) -> dict[str, str]:
    """What to tell a person about an error: no paths, no traceback."""
    return {"message": sentence(error.what), "fix": sentence(error.fix)}
