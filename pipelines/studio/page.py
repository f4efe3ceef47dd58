"""The page: what a person sees of a desk. Inputs left, the picture in the middle, sliders right, the clip's motion and results below."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from nicegui import ui

from pipelines.config.places import DEMO_FOLDER
from pipelines.runs.clips import Clip
from pipelines.stages.encode import Portrait
from pipelines.studio.controls import Controls
from pipelines.studio.desk import Desk
from pipelines.studio.motion import MotionPanel
from pipelines.studio.sessions import Session
from pipelines.studio.uploads import Limits, Slot, Upload, admit
from pipelines.studio.widgets import Button, Dial, Drop, Picture, Scale, Text
from pipelines.studio.worker import StudioWorker, as_jpeg, data_url, portrait_crop

FACE = (
    "M12 3c4 0 6.5 3 6.5 7.500C18.5 16 15.5 21 12 21s-6.500-5-6.500-10.500C5.5 6 8 3 12 3zM9 11h.01M15 11h.01M9.5 15.500c1.600 1.200 3.400 1.200 5 0"
)
FILM = "M4 5h16v14H4zM8 5v14M16 5v14M4 9.700h4M4 14.300h4M16 9.700h4M16 14.300h4"
CONSENT = "Animate only faces of people who agreed to it, or who are yours to animate. Results are marked as synthetic in their metadata."
DEMO: dict[Slot, Path] = {
    "portrait": DEMO_FOLDER / "portraits" / "hiker.jpg",
    "clip": DEMO_FOLDER / "clips" / "smiling_man.mp4",
}


class Page:
    """Builds the page of one session in the NiceGUI client at hand and keeps it up to date."""

    def __init__(self, session: Session, worker: StudioWorker, limits: Limits) -> None:
        self.session, self.limits = session, limits
        self.shown: Portrait | None = None
        self.moved: Clip | None = None
        self.desk = Desk(session, worker, self.refresh, self.show_picture)
        ui.add_head_html('<link rel="stylesheet" href="/studio-static/studio.css">')
        with ui.element("header").classes("top"):
            with ui.element("div").classes("top__brand"):
                Picture("").classes("top__icon").show("/studio-static/icon.svg")
                Text("h1", "MMFA Studio")
            Text("p", CONSENT, "top__consent")
        with ui.element("main").classes("desk"):
            with ui.element("section").classes("panel inputs").props('aria-label="Inputs"'):
                self.drops: dict[Slot, Drop] = {"portrait": self._drop("portrait"), "clip": self._drop("clip")}
            with ui.element("div").classes("middle"):
                with ui.element("section").classes("panel stage").props('aria-label="Picture"'):
                    self._stage()
                self.motion = MotionPanel(self.desk)
            self.controls = Controls(self.desk)
        self.refresh()

    def take(self, slot: Slot, upload: Upload) -> None:
        """Use an uploaded file."""
        self.desk.take(slot, upload)

    async def demo(self) -> None:
        """Use copies of the demo media."""
        for slot, path in DEMO.items():
            copy = self.session.folder / f"{slot}-demo.part"
            await self.desk.worker.call(partial(shutil.copyfile, path, copy))
            self.take(slot, await self.desk.worker.call(partial(admit, copy, slot, path.name)))

    def close(self) -> None:
        """The page is gone."""
        self.motion.cancel()
        self.desk.close()

    # ---- parts ---------------------------------------------------------------------------------------------------
    def _drop(self, slot: Slot) -> Drop:
        portrait = slot == "portrait"
        megabytes = self.limits.of(slot) >> 20
        return Drop(
            url=f"/studio/{self.session.token}/upload/{slot}",
            title="Drop a portrait" if portrait else "Drop a driving clip",
            hint=f"PNG, JPEG or WebP, up to {megabytes} MB" if portrait else f"MP4, MOV, MKV, WebM or AVI, up to {megabytes} MB",
            accept="image/png,image/jpeg,image/webp" if portrait else "video/*,.mkv,.avi",
            limit=self.limits.of(slot),
            kind="image" if portrait else "video",
            icon=FACE if portrait else FILM,
        )

    def _stage(self) -> None:
        with ui.element("div").classes("stage__pair") as self.pair:
            with ui.element("figure"):
                self.before = Picture("The portrait, cropped to the face")
                Text("figcaption", "Portrait")
            with ui.element("figure"):
                self.after = Picture("The portrait with the sliders' pose").props("id=posed")
                self.caption = Text("figcaption", "Preview")
        with ui.element("div").classes("stage__empty") as self.empty:
            Text("h2", "Pose a face")
            Text("p", "Drop a portrait to begin. Move the sliders and the picture follows. Add a clip to give the portrait its motion.")
            Button("Try it with the demo media", self.demo)
        self.busy = Text("p", "", "stage__busy").props("role=status")
        self.moment = Dial(Scale("Frame of the clip", 0, 1, 1), lambda frame: self.desk.show_moment(round(frame)))

    # ---- what changes --------------------------------------------------------------------------------------------
    def refresh(self) -> None:
        """Show the desk as it is now."""
        for slot, drop in self.drops.items():
            side = self.desk.sides[slot]
            facts = "" if side.upload is None else facts_of(side.upload)
            name = "" if side.upload is None else side.upload.name
            drop.show(shown=side.shown, name=name, facts=facts, state=side.state, error=side.error, remedy=side.remedy)
        portrait = self.desk.portrait
        if portrait is not self.shown:
            self.shown = portrait
            if portrait is not None:
                self.before.show(data_url(as_jpeg(portrait_crop(portrait))))
                self.after.show(data_url(as_jpeg(portrait_crop(portrait))))
        self.pair.set_visibility(portrait is not None)
        self.empty.set_visibility(portrait is None and not self.desk.sides["portrait"].state)
        self.busy.set_text(self.desk.sides["portrait"].state or self.desk.problem)
        self.moment.set_visibility(portrait is not None and self.desk.clip is not None)
        if self.desk.clip is not None and self.desk.clip is not self.moved:
            self.moved = self.desk.clip
            self.moment.range(self.moved.frames - 1, self.desk.moment)
        self.controls.refresh()
        self.motion.refresh()

    def show_picture(self, jpeg: bytes, seconds: float) -> None:
        """Show a new preview."""
        self.after.show(data_url(jpeg))
        self.caption.set_text(f"Preview · {seconds:.2f} s")


def facts_of(upload: Upload) -> str:
    """Size, and of a video its length and frame rate."""
    info = upload.info
    size = f"{info.width} × {info.height}"
    if info.kind == "image":
        return size
    seconds = float(info.duration) if info.duration else (info.frames or 0) / float(info.rate or 25)
    return f"{size}, {seconds:.1f} s, {float(info.rate):.4g} frames/s"
