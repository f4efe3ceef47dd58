"""The sliders: pose, placement and expression, each told in words and units, each with its way back."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from nicegui import ui

from pipelines.studio.desk import Desk
from pipelines.studio.settings import Settings
from pipelines.studio.widgets import Button, Dial, Scale, Text

DEGREE, PERCENT = "°", " %"
HEAD: Mapping[str, Scale] = {
    "yaw": Scale("Turn (yaw)", -30, 30, 0.5, unit=DEGREE, less="right", more="left", flip=True),
    "pitch": Scale("Nod (pitch)", -20, 20, 0.5, unit=DEGREE, less="down", more="up"),
    "roll": Scale("Tilt (roll)", -30, 30, 0.5, unit=DEGREE, less="left", more="right"),
}
PLACE: Mapping[str, Scale] = {
    "scale": Scale("Scale", 0.7, 1.4, 0.01, 1.0, factor=100, unit=PERCENT),
    "x": Scale("Shift across (x)", -0.3, 0.3, 0.01, factor=50, digits=1, unit=" % of crop", less="left", more="right"),
    "y": Scale("Shift along (y)", -0.3, 0.3, 0.01, factor=50, digits=1, unit=" % of crop", less="up", more="down", flip=True),
}
FACE: Mapping[str, Scale] = {"strength": Scale("Strength of the clip's expression", 0.0, 2.0, 0.05, 1.0, factor=100, unit=PERCENT)}
ABSENT = "Sliders along the expression's latent space need the weights of the expression VAE (mmfa_vae_base), which are not installed here."


class Controls:
    """The right-hand panel of a page."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.dials: dict[str, Dial] = {}
        self.units: dict[str, Dial] = {}
        with ui.element("section").classes("panel controls").props('aria-label="Adjustments"'):
            with ui.element("div").classes("panel__head"):
                Text("h2", "Adjust")
                self.reset = Button("Reset all", self.home)
            self._group("Head", HEAD)
            self._group("Placement", PLACE)
            self._group("Expression", FACE)
            self.note = Text("p", "", "note")
            self.directions = ui.element("div").classes("group")
            with self.directions:
                Text("h3", "Expression directions")
                self.absent = Text("p", "", "note")

    def home(self) -> None:
        """Every slider back to where it started."""
        fresh = Settings()
        for dial in self.dials.values():
            dial.home()
        for dial in self.units.values():
            dial.home()
        self.desk.change(latent={}, **{name: getattr(fresh, name) for name in self.dials})

    def refresh(self) -> None:
        """Switch on what can be used now."""
        ready, clip = self.desk.portrait is not None, self.desk.clip is not None
        for name, dial in self.dials.items():
            dial.enable(ready and (clip or name not in FACE))
        self.reset.enable(ready)
        if self.desk.directions and not self.units:
            with self.directions:
                for number, unit in enumerate(self.desk.directions, 1):
                    scale = Scale(f"Direction {number} (unit {unit})", -3, 3, 0.1, digits=1, unit=" SD")
                    self.units[str(unit)] = Dial(scale, partial(self._shift, str(unit)))
        for dial in self.units.values():
            dial.enable(ready)
        self.absent.set_text(ABSENT if self.desk.directions == [] else "" if self.units else "Shown with the first portrait.")
        self.note.set_text("" if clip else "The strength slider needs a driving clip.")

    def _group(self, title: str, scales: Mapping[str, Scale]) -> None:
        with ui.element("div").classes("group").props("role=group").props(f'aria-label="{title}"'):
            Text("h3", title)
            for name, scale in scales.items():
                self.dials[name] = Dial(scale, partial(self._set, name))

    def _shift(self, unit: str, amount: float) -> None:
        self.desk.change(latent={**self.desk.settings.latent, unit: amount})

    def _set(self, name: str, number: float) -> None:
        self.desk.change(**{name: number})
