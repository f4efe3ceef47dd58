"""A system whose components only let time pass, and units that only sleep: what is left of a run is what the engine costs."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import attrs
import torch

from mmfa_components import records as r
from mmfa_components.hookspecs import hookimpl
from mmfa_components.kinds import ComponentSpec, Context
from mmfa_components.records import Record
from mmfa_components.registry import Plugin, Registry, inspect_plugin
from pipelines.config.schema import Engine, Face, Part, Pipeline, Ray
from pipelines.stages.worker import Worker


@attrs.frozen
class SleepUnit:
    """Sleeps ``seconds``, takes ``frames`` of progress, and gives back ``frames`` pictures of ``side`` pixels (0: none)."""

    seconds: float
    frames: int = 64
    side: int = 0


def sleep_span(worker: Worker, unit: SleepUnit) -> Any:
    """The work of a SleepUnit: a tensor (frames, side, side, 3) uint8, or None."""
    time.sleep(unit.seconds)
    worker.done(unit.frames)
    return torch.zeros(unit.frames, unit.side, unit.side, 3, dtype=torch.uint8) if unit.side else None


class Nothing:
    """A component that is never called."""

    def __init__(self, options: object, context: Context) -> None:
        pass


@attrs.frozen
class Sleep:
    """seconds: a rendered frame takes."""

    seconds: float = 0.0


class Sleeper:
    """An animator whose network is a sleep; it renders a light that moves."""

    crop_size = 64
    motion: type[Record] = r.Motion

    def __init__(self, options: Sleep, context: Context) -> None:
        self.seconds = options.seconds

    def render(self, identity: Record, source: r.Motion, driving: r.Motion) -> r.Frames:
        """See Animator. The light is where the motion's translation says."""
        time.sleep(self.seconds * len(driving))
        at = torch.linspace(-1, 1, self.crop_size)
        x, y = (driving.translation[:, i, None] for i in (0, 1))
        light = torch.exp(-8 * (at - y)[:, :, None] ** 2 - 8 * (at - x)[:, None, :] ** 2)
        return r.Frames(light[:, None].expand(-1, 3, -1, -1).contiguous())


@hookimpl
def mmfa_components() -> list[ComponentSpec]:
    """Detector, landmarks and animator, all called "nothing"."""
    return [
        ComponentSpec("face_detector", "nothing", Nothing, (r.Frames,), (r.FaceDetections,)),
        ComponentSpec("landmark_detector", "nothing", Nothing, (r.Frames, r.FaceRegions), (r.Landmarks,)),
        ComponentSpec("animator", "nothing", Sleeper, (r.Frames, r.Landmarks), (r.Identity, r.Motion, r.Frames), Sleep, motion=r.HEAD),
    ]


def sleeping_registry() -> Registry:
    """A registry of this module's components only."""
    registry = Registry(records={n: c for n, c in vars(r).items() if isinstance(c, type) and issubclass(c, Record)})
    registry.add(inspect_plugin(Plugin("sleeping", "benchmarks", "1", Path(__file__).name), sys.modules[__name__]))
    return registry


def sleeping_pipeline(actors: int, seconds: float = 0.0) -> Pipeline:
    """A pipeline of the system on so many Ray actors, which share what cores there are.

    seconds: a rendered frame takes.
    """
    ray = Ray(min_actors=actors, max_actors=actors, cpus=0.001, gpus=0.0)
    face = Face(Part("nothing"), Part("nothing"))
    animator = Part("nothing", {"seconds": seconds})
    return Pipeline(face=face, animator=animator, engine=Engine(name="ray", device="cpu", precision="float32", threads=1, ray=ray))
