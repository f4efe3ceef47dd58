"""Rendered spans to a video file: pasted back where wanted, marked where wanted, written with their exact times."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import attrs
import torch
from torch import Tensor

from mmfa_components.records import Record
from pipelines.config.schema import Output
from pipelines.engines.base import Engine
from pipelines.media import VideoWriter, write_image
from pipelines.remote import upload
from pipelines.runs.clips import Clip
from pipelines.runs.sealing import Seal
from pipelines.stages.encode import Portrait
from pipelines.stages.frames import FrameSource, chunk_length
from pipelines.stages.mark import mark_frames
from pipelines.stages.paste import paste_crops
from pipelines.stages.render import RenderUnit, render_span
from pipelines.stages.worker import Stopwatch

NONE_SHOWN = torch.empty(0, dtype=torch.long)
"""Frames of a source video that are shown, where the source is a portrait."""


@attrs.frozen(eq=False)
class Film:
    """What a result is: where it is written, its clock, its notes.

    rate: nominal frames a second.  times: timestamps of frames ``first`` to ``stop`` in units of ``time_base``.  sound: file whose
    sound is carried over.  seal: signs the finished file.  shown: (N,) int, the frame of a source video that each frame shows;
    empty for a portrait.  warn: is told what of the sound could not be carried.
    """

    path: Path
    time_base: Fraction
    rate: Fraction
    times: Callable[[int, int], Sequence[int]]
    sound: Path | None
    notes: Mapping[str, str]
    seal: Seal | None = None
    shown: Tensor = NONE_SHOWN
    warn: Callable[[str], None] = attrs.field(default=lambda text: None)


def write_film(
    engine: Engine,
    film: Film,
    units: Iterable[RenderUnit],
    source: Portrait | Clip,
    output: Output,
    moved: list[Record] | None = None,
) -> dict[str, float]:
    """Render ``units`` and write them; gives the seconds by stage. Raises MediaError or OutputError; then no file is left.

    moved: a list that the motions of the spans are added to.
    """
    width, height = size_of(source, output, engine.facts.crop_size)
    watch = Stopwatch()
    film.path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(
        film.path, width, height, film.time_base, film.rate, output.codec, output.quality, film.sound, film.notes, film.seal,
    ) as writer:  # fmt: skip
        first = 0
        for frames in finished_frames(engine, units, source, output, watch, moved, film.shown):
            with watch.stage("write"):
                writer.write(frames, film.times(first, first + len(frames)))
            first += len(frames)
    for warning in writer.warnings:
        film.warn(warning if film.sound is None else f"{film.sound.name}: {warning}")
    return {name: round(seconds, 3) for name, seconds in watch.seconds.items()}


def finished_frames(
    engine: Engine,
    units: Iterable[RenderUnit],
    source: Portrait | Clip,
    output: Output,
    watch: Stopwatch,
    moved: list[Record] | None = None,
    shown: Tensor = NONE_SHOWN,
) -> Iterator[Tensor]:
    """Render ``units``; gives the frames of the result in parts (n, H, W, 3) uint8, pasted back and marked as ``output`` says.

    watch, moved: the seconds by stage and the motions of the spans are added to them.  shown: see Film. Raises MediaError.
    """
    backgrounds, first = FrameSource(), 0
    try:
        for span in engine.map(render_span, units):
            watch.add(span.seconds)
            if moved is not None:
                moved.append(span.motion)
            width, height = size_of(source, output, span.rgb.shape[1])
            for part in torch.split(span.rgb, chunk_length(len(span.rgb), width, height)):
                with watch.stage("paste"):
                    frames = part if output.frame == "crop" else _paste(source, part, first, shown, backgrounds)
                    frames = mark_frames(frames) if output.mark else frames
                yield frames
                first += len(part)
    finally:
        backgrounds.close()


def size_of(source: Portrait | Clip, output: Output, crop: int) -> tuple[int, int]:
    """Width and height of a result in pixels. crop: side of the animator's crops."""
    if output.frame == "crop":
        return crop, crop
    if isinstance(source, Clip):
        return source.info.width, source.info.height
    return source.rgb.shape[1], source.rgb.shape[0]


def write_still(
    engine: Engine, path: Path, unit: RenderUnit, source: Portrait | Clip, output: Output, notes: Mapping[str, str], seal: Seal | None
) -> dict[str, float]:
    """Render one frame and write it as a picture; gives the seconds by stage. Raises OutputError."""
    span = next(iter(engine.map(render_span, [unit])))
    frames = span.rgb if output.frame == "crop" else _paste(source, span.rgb, 0, torch.zeros(1, dtype=torch.long), FrameSource())
    write_image(path, (mark_frames(frames) if output.mark else frames)[0], metadata=notes, seal=seal)
    upload(path, notes)
    return {name: round(seconds, 3) for name, seconds in span.seconds.items()}


def _paste(source: Portrait | Clip, crops: Tensor, first: int, shown: Tensor, backgrounds: FrameSource) -> Tensor:
    if isinstance(source, Portrait):
        return paste_crops(source.rgb[None], crops, source.square)
    rows = shown[first : first + len(crops)]
    pictures = backgrounds.pick(source.path, [int(r) for r in rows])
    return paste_crops(pictures, crops, source.framing.view[rows])
