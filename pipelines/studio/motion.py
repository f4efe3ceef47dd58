"""The lower panel: where each attribute of the motion comes from, and the run with its progress."""

from __future__ import annotations

import asyncio
from functools import partial

from nicegui import ui
from nicegui.element import Element

from mmfa_components.errors import reason_of
from pipelines.studio.desk import Desk, sentence
from pipelines.studio.job import Job, progress_text
from pipelines.studio.recipe import Recipe
from pipelines.studio.results import show_result
from pipelines.studio.settings import ATTRIBUTES, REGIONS
from pipelines.studio.widgets import Button, Choice, Text

PORTRAIT = ("source", "Portrait", "as in the portrait, it does not move")
RELATIVE = ("relative", "Relative", "the portrait's own, changed as the clip changes from its most neutral frame; right for another person's clip")
ABSOLUTE = ("absolute", "Absolute", "exactly as in the clip")
WHOLE = ("whole", "As face", "with the expression of the rest of the face")
FRAMES = (("crop", "Face only", "the square around the face"), ("paste", "Whole picture", "put back into the whole portrait"))
MARKS = (("off", "None", "only the metadata say that the result is synthetic"), ("on", "AI-generated", "a note in the corner of every frame"))
WAITING = "Drop a driving clip to choose what moves the portrait. Without one, a single picture is made of the sliders' pose."


class MotionPanel:
    """Choices, run button, progress and results of one page."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.job: Job | None = None
        self.starting = False
        with ui.element("section").classes("panel motion").props('aria-label="Motion and result"'):
            with ui.element("div").classes("panel__head"):
                Text("h2", "Motion from the clip")
                self.run_button = Button("Make the video", self.run, "main")
            self.note = Text("p", WAITING, "note note--first")
            with ui.element("div").classes("choices"):
                self.choices = [self._choice(name, label) for name, label in ATTRIBUTES.items()]
                Choice("Output", FRAMES, desk.settings.frame, lambda key: desk.change(frame=key))
                Choice("Visible mark", MARKS, "on" if desk.settings.mark else "off", lambda key: desk.change(mark=key == "on"))
            with ui.element("div").classes("progress") as self.progress:
                self.text = Text("p", "", "progress__text").props("role=status")
                self.bar = Element("progress").props('max=1 aria-label="Progress"')
                self.cancel_button = Button("Cancel", self.cancel)
            self.error = Text("p", "", "problem").props("role=alert")
            self.result = ui.element("div").classes("result")

    def refresh(self) -> None:
        """Switch on what can be used now."""
        ready, clip = self.desk.portrait is not None, self.desk.clip is not None
        reading = bool(self.desk.sides["clip"].state)
        for choice in self.choices:
            choice.enable(clip)
        self.run_button.set_text("Make the video" if clip or reading else "Make the picture")
        self.run_button.enable(ready and not reading and not self.running)
        self.progress.set_visibility(self.running)
        self.note.set_visibility(not clip)

    @property
    def running(self) -> bool:
        """True from the press of the button until the job is over."""
        return self.starting or (self.job is not None and not self.job.over)

    # ---- the run -------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Run the present settings as a recipe; progress is shown until it is over."""
        if self.desk.portrait is None or self.running:
            return
        self.starting, self.job = True, None
        self.error.set_text("")
        self.result.clear()
        self.text.set_text("Starting …")
        self.bar.props.pop("value", None)
        self.refresh()
        try:
            self.job, recipe = await self.desk.job()
        except OSError as error:
            self.error.set_text(f"The run cannot be prepared ({reason_of(error)}). Free some disk space.")
            return
        finally:
            self.starting = False
            self.refresh()
        running = asyncio.get_running_loop().run_in_executor(None, self.job.run)
        while not running.done() and not self.desk.session.closed:
            self.watch()
            await asyncio.wait([running], timeout=0.25)
        if not self.desk.session.closed:
            self.refresh()
            self._finished(self.job, recipe)

    def cancel(self) -> None:
        """Stop the run."""
        if self.job is not None:
            self.job.cancel()
            self.text.set_text("Stopping …")

    def watch(self) -> None:
        """Show how far the run is."""
        job = self.job
        if job is None or job.over or job.stopping:
            return
        step = job.step
        if step is not None and step.total:
            self.bar.props["value"] = min(1.0, round(step.count / step.total, 4))
        else:
            self.bar.props.pop("value", None)
        self.bar.update()
        self.text.set_text(progress_text(job))

    def _finished(self, job: Job, recipe: Recipe) -> None:
        if job.status == "cancelled":
            self.error.set_text("Cancelled. Nothing was kept.")
        elif job.status == "failed" or not job.outputs:
            error = job.error
            self.error.set_text(f"{sentence(error.what)} {sentence(error.fix)}" if error else "The run ended without a result.")
        else:
            with self.result:
                show_result(self.desk, job, recipe)

    # ---- the choices ---------------------------------------------------------------------------------------------
    def _choice(self, name: str, label: str) -> Choice:
        options = [PORTRAIT, RELATIVE, ABSOLUTE]
        return Choice(label, [WHOLE, *options] if name in REGIONS else options, self.desk.settings.origins[name], partial(self._origin, name))

    def _origin(self, name: str, key: str) -> None:
        self.desk.change(origins={**self.desk.settings.origins, name: key})
