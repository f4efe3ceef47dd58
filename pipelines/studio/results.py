"""What a run left behind, for looking at and for taking home."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from nicegui import ui

from pipelines.stages.motion_file import motion_beside
from pipelines.studio.desk import Desk
from pipelines.studio.job import Job
from pipelines.studio.recipe import Recipe, bundle
from pipelines.studio.widgets import Button, Compare, Text
from pipelines.studio.worker import as_jpeg, data_url, portrait_crop

AGAIN = "The recipe makes this result again: put it beside its files, or unpack the ZIP, and run: mmfa run studio.toml"


def show_result(desk: Desk, job: Job, recipe: Recipe) -> None:
    """Build the comparison and the downloads of a finished run in the element at hand."""
    session, result = desk.session, job.outputs[0]
    address = session.offer(result, result.name)
    portrait = session.offer(recipe.portrait, recipe.portrait.name)
    if desk.settings.frame == "crop" and desk.portrait is not None:
        portrait = data_url(as_jpeg(portrait_crop(desk.portrait)))
    driving = session.offer(recipe.clip, recipe.clip.name) if recipe.clip else ""
    Text("h3", "Result", "result__title")
    Compare(portrait, driving, address, still=result.suffix == ".png")
    for warning in job.report.get("jobs", [{}])[0].get("warnings", []):
        Text("p", f"Note: {warning}", "note")
    motion = motion_beside(result)
    with ui.element("div").classes("downloads"):
        _link("Picture (PNG)" if result.suffix == ".png" else "Video (MP4)", address, main=True)
        if motion.is_file():
            _link("Motion file", session.offer(motion, motion.name))
        _link("Recipe (TOML)", session.offer(recipe.path, recipe.path.name))
        Button("Everything (ZIP)", partial(_everything, desk, recipe, [result, motion] if motion.is_file() else [result]))
    Text("p", AGAIN, "note")


async def _everything(desk: Desk, recipe: Recipe, results: list[Path]) -> None:
    path = await desk.worker.call(partial(bundle, recipe, results))
    if not desk.session.closed:
        ui.download(desk.session.offer(path, path.name) + "?save=true")


def _link(text: str, address: str, main: bool = False) -> None:
    kind = "main" if main else "quiet"
    Text("a", text, f"button button--{kind}").props(f'href="{address}?save=true" download')
