"""Pictures, clips and plans of the disc system (see disc_face.py)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import torch
from disc_face import Disc, draw

from pipelines.config.schema import Cache, Engine, Face, Job, Output, Part, Pipeline, Plan, Transfer
from pipelines.media import VideoWriter, write_image

WIDTH, HEIGHT = 160, 120


def write_portrait(path: Path, disc: Disc | None = None, width: int = WIDTH, height: int = HEIGHT) -> Path:
    """A PNG with one face."""
    write_image(path, draw([disc or Disc(80, 60, 24, tint=0.3)], width, height))
    return path


def write_clip(path: Path, frames: Sequence[Sequence[Disc]], width: int = WIDTH, height: int = HEIGHT) -> Path:
    """An MP4 at 25 frames a second; each frame holds the given faces."""
    with VideoWriter(path, width, height, Fraction(1, 25), Fraction(25), quality=6) as writer:
        for index, discs in enumerate(frames):
            writer.write(draw(list(discs), width, height)[None], [index])
    return path


def swinging(frames: int, x: float = 80, y: float = 60, radius: float = 24, tint: float = 0.8) -> list[list[Disc]]:
    """A head that swings from side to side, drifts a little and smiles now and then; frame 0 is frontal and neutral."""
    turns = [i * 2 * math.pi / 25 for i in range(frames)]
    return [[Disc(x + 6 * math.sin(t), y, radius, 0.6 * math.sin(t), 0.5 + 0.4 * math.sin(2 * t), tint)] for t in turns]


def disc_plan(folder: Path, sources: Sequence[Path], driving: Sequence[Path], **changes: Any) -> Plan:
    """A plan of every source with every clip. ``changes`` replace tables of the pipeline (face, transfer, output, ...)."""
    pipeline = Pipeline(
        face=Face(Part("disc"), Part("disc"), max_gap=5),
        animator=Part("disc"),
        transfer=Transfer(reference=0),
        output=Output(folder=str(folder / "out"), quality=6),
        cache=Cache(folder=str(folder / "cache")),
        engine=Engine(device="cpu", precision="float32", batch=4, span=10),
    )
    for table, values in changes.items():
        current = getattr(pipeline, table)
        pipeline = attrs.evolve(pipeline, **{table: attrs.evolve(current, **values) if isinstance(values, dict) else values})
    out = Path(pipeline.output.folder)
    jobs = [Job(s, d, out / f"{s.stem}__{d.stem}.mp4") for s in sources for d in driving]
    return Plan(pipeline, tuple(jobs), folder / "disc.toml")


def decompose_video(path: Path) -> Any:
    """The motion of a result's 64-pixel crops, measured by the disc animator itself."""
    from disc_face import disc_registry

    from mmfa_components.records import Frames, Landmarks
    from pipelines.media import open_video

    registry = disc_registry()
    animator = registry.build("animator", "disc", {}, registry.context())
    with open_video(path) as reader:
        rgb = torch.cat([span.rgb for span in reader.spans(16)])
    crops = Frames(rgb.permute(0, 3, 1, 2).float() / 255)
    return animator.decompose(crops, Landmarks(torch.zeros(len(crops), 8, 3), torch.ones(len(crops))))
