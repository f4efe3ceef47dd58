"""The lower panel: where each attribute of the motion comes from, the run, its progress, and what comes out."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from nicegui import ui
from nicegui.element import Element

from pipelines.studio.desk import Desk, sentence
from pipelines.studio.job import Job, left
from pipelines.studio.recipe import write_recipe
from pipelines.studio.settings import ATTRIBUTES
from pipelines.studio.widgets import Button, Choice, Compare, Text

ORIGINS = (
    ("source", "Portrait", "as in the portrait, it does not move"),
    ("relative", "Clip, relative", "the portrait's own, changed as the clip changes from its most neutral frame; right for another person's clip"),
    ("absolute", "Clip, absolute", "exactly as in the clip"),
)
FRAMES = (("crop", "Face only", "the square around the face"), ("paste", "Whole picture", "put back into the whole portrait"))
PHASES = {"load": "Loading the model", "follow": "Following the face", "decompose": "Reading the motion", "encode": "Reading the portrait"}


class MotionPanel:
    """Choices, run button, progress and results of one page."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.job: Job | None = None
        with ui.element("section").classes("panel motion").props('aria-label="Motion from the clip"'):
            with ui.element("div").classes("panel__head"):
                Text("h2", "Motion from the clip")
                self.run_button = Button("Make the video", self.run, "main")
            with ui.element("div").classes("choices"):
                self.choices = [
                    Choice(label, ORIGINS, desk.settings.origins[name], partial(self._origin, name)) for name, label in ATTRIBUTES.items()
                ]
                self.choices.append(Choice("Output", FRAMES, desk.settings.frame, lambda key: desk.change(frame=key)))
            with ui.element("div").classes("progress") as self.progress:
                self.text = Text("p", "", "progress__text").props("role=status")
                self.bar = Element("progress").props('max=1 aria-label="Progress"')
                self.cancel_button = Button("Cancel", self.cancel)
            self.error = Text("p", "", "problem").props("role=alert")
            self.note = Text("p", "", "note")
            self.result = ui.element("div").classes("result")
        self.timer = ui.timer(0.25, self.watch, active=False)
        self.refresh()

    def refresh(self) -> None:
        """Switch on what can be used now."""
        ready = self.desk.portrait is not None and self.desk.clip is not None
        for choice in self.choices:
            choice.enable(ready)
        running = self.job is not None and not self.job.over
        self.run_button.enable(ready and not running)
        self.progress.set_visibility(running)
        self.note.set_text("" if ready else "Needs a portrait and a driving clip.")

    # ---- the run -------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Run the present settings as a recipe; progress is watched by a timer."""
        if self.desk.portrait is None or self.desk.clip is None or (self.job is not None and not self.job.over):
            return
        recipe = write_recipe(self.desk)
        self.job = Job(recipe.path, recipe.overrides, self.desk.worker.registry)
        self.error.set_text("")
        self.result.clear()
        self.refresh()
        self.timer.activate()
        await asyncio.get_running_loop().run_in_executor(None, self.job.run)
        if not self.desk.session.closed:
            with self.result:
                self.timer.deactivate()
                self.finished(self.job, recipe.path)

    def cancel(self) -> None:
        """Stop the run."""
        if self.job is not None:
            self.job.cancel()
            self.text.set_text("Stopping …")

    def watch(self) -> None:
        """Show how far the run is."""
        job = self.job
        if job is None or job.over:
            return
        step = job.step
        if job.status == "waiting":
            self.text.set_text("Waiting for another run to end …")
        elif step is not None:
            share = step.count / step.total if step.total else None
            if share is None:
                self.bar.props.pop("value", None)
            else:
                self.bar.props["value"] = round(share, 4)
            self.bar.update()
            self.text.set_text(progress_text(job))

    def finished(self, job: Job, recipe: Path) -> None:
        """Show what came out."""
        self.refresh()
        if job.status == "cancelled":
            self.error.set_text("Cancelled. Nothing was kept.")
        elif job.status == "failed" or not job.outputs:
            error = job.error
            text = f"{sentence(error.what)} {sentence(error.fix)}" if error else "The run ended without a result."
            self.error.set_text(text)
        else:
            self._show(job, recipe)

    def _show(self, job: Job, recipe: Path) -> None:
        session, sides = self.desk.session, self.desk.sides
        video = session.offer(job.outputs[0], "result.mp4")
        Compare(sides["portrait"].shown, sides["clip"].shown, video)
        with ui.element("div").classes("downloads"):
            self._link("Video", video)
            self._link("Recipe (TOML)", session.offer(recipe, "studio.toml"))

    def _link(self, text: str, address: str) -> None:
        Text("a", text, "button button--quiet").props(f'href="{address}?save=true" download')

    def _origin(self, name: str, key: str) -> None:
        self.desk.change(origins={**self.desk.settings.origins, name: key})


def progress_text(job: Job) -> str:
    """What a run is doing, how far it is, how fast, and how long it will take."""
    step = job.step
    if step is None or not step.text:
        return "Starting …"
    phase = next((name for start, name in PHASES.items() if step.text.startswith(start)), "Making the frames")
    if not step.count:
        return f"{phase} …"
    speed, seconds = left(step)
    total = f" of {step.total}" if step.total else ""
    rest = f", {seconds:.0f} s left" if seconds is not None else ""
    return f"{phase}: frame {step.count}{total}, {speed:.1f} frames/s{rest}"
