"""A portrait moved live: one frame in, one frame out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import attrs

from mmfa.pictures import Array, pixels_of
from mmfa_components.geometry.one_euro import OneEuro, Tuning
from mmfa_components.geometry.transfer import Mode
from mmfa_components.records import Record
from pipelines.config.schema import Face, Output
from pipelines.engines.in_process import InProcessEngine
from pipelines.runs.film import finished_frames, size_of
from pipelines.runs.job_keys import write_notes
from pipelines.stages.encode import Portrait, with_view
from pipelines.stages.live import LiveUnit, live_motion, live_state
from pipelines.stages.render import RenderUnit
from pipelines.stages.transfer import Carry
from pipelines.stages.view import viewing_of
from pipelines.stages.worker import Stopwatch

EXPRESSION = Tuning(3.0, 1.0)
"""How the expression is steadied: less than the pose, for lips move fast."""


class Live:
    """A portrait that moves as the frames it is given; :meth:`Predictor.live` makes one.

    found: whether the last frame showed a face.  seconds: what the last step took, by stage
    ("follow", "render", "paste").
    """

    def __init__(
        self,
        engine: InProcessEngine,
        face: Face,
        portrait: Portrait,
        modes: Mapping[str, str],
        output: Output,
        steady: float,
        mirror: bool,
    ) -> None:
        self.found = False
        self.seconds: dict[str, float] = {}
        self.mirror = mirror
        self._engine, self._face, self._output = (
            engine,
            attrs.evolve(face, select="largest"),
            output,
        )
        shown = with_view(portrait, viewing_of(output, engine.facts))
        device = engine.worker.device
        view = None if shown.view is None else shown.view.to(device)
        self._portrait = attrs.evolve(shown, identity=portrait.identity.to(device), view=view)
        self._modes = {name: Mode(origin) for name, origin in modes.items()}
        feature = engine.facts.motion.feature
        self._filter: OneEuro[Record] = OneEuro({feature: EXPRESSION} if feature else {}, steady)
        self._state = live_state(engine.worker, self._face, self._filter)
        self._reference: Record | None = None
        self._motion: Record | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frames that come out, in pixels."""
        return size_of(self._portrait, self._output, self._engine.facts.crop_size)

    def step(self, frame: Any, seconds: float | None = None) -> Array:
        """The portrait moved as the face in ``frame``.

        Where no face is seen the last motion is held; before the first face the portrait is shown
        as it is.

        Args:
            frame: array (H, W, 3) uint8, RGB, or a PIL image.
            seconds: when it was taken, on a clock that rises; now, when it is left out.

        Returns:
            (S, S, 3) uint8, with ``paste`` (H, W, 3) as the portrait's picture.

        Raises:
            MediaError: ``frame`` is no picture.
        """
        rgb, watch = pixels_of(frame, "frame"), Stopwatch()
        if self.mirror:
            rgb = rgb.flip(1)
        with watch.stage("follow"):
            unit = LiveUnit(self._state, rgb, time.monotonic() if seconds is None else seconds)
            motion = next(iter(self._engine.map(live_motion, [unit])))
        self.found = motion is not None
        if motion is not None:
            self._motion = motion
            if self._reference is None:
                self._reference = motion
        shown = next(
            finished_frames(self._engine, [self._unit()], self._portrait, self._output, watch)
        )
        self.seconds = watch.seconds
        picture: Array = shown[0].numpy()
        return picture

    def notes(self, source: str) -> dict[str, str]:
        """What a file of the frames says of itself: that it is synthetic, by what, after whom."""
        return write_notes({}, self._engine.facts, f"live; {source}")

    def neutral(self) -> None:
        """Take the last frame with a face as the neutral one, at which the portrait is as it is."""
        self._reference = self._motion

    def reset(self) -> None:
        """Forget the face: the next one that is seen is neutral."""
        self._filter.reset()
        self._state = live_state(self._engine.worker, self._face, self._filter)
        self._reference = self._motion = None

    def _unit(self) -> RenderUnit:
        own, identity = self._portrait.motion, self._portrait.identity
        view = self._portrait.view
        if self._motion is None or self._reference is None:
            return RenderUnit(0, own, own, identity, view=view)
        carry = Carry(self._reference, self._modes)
        return RenderUnit(0, self._motion, own, identity, carry, view=view)
