"""Results: segments that workers encode, joined to a file with exact times, sound and notes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import attrs
from torch import Tensor

from mmfa_components.records import Record
from pipelines.config.schema import Output
from pipelines.engines.base import Engine
from pipelines.media import SEGMENT, VideoWriter, write_image
from pipelines.remote import upload
from pipelines.runs.clips import Clip
from pipelines.runs.sealing import Seal
from pipelines.stages.encode import Portrait
from pipelines.stages.film import FrameUnit, Look, SegmentUnit, film_segment, finish_span
from pipelines.stages.render import RenderUnit
from pipelines.stages.worker import Stopwatch


@attrs.frozen(eq=False)
class Film:
    """What a result is: where it is written, its clock, its notes.

    rate: nominal frames a second.  times: timestamps of frames ``first`` to ``stop`` in units of
    ``time_base``.  sound: file whose sound is carried over.  seal: signs the finished file.  warn: is
    told what of the sound could not be carried.
    """

    path: Path
    time_base: Fraction
    rate: Fraction
    times: Callable[[int, int], Sequence[int]]
    sound: Path | None
    notes: Mapping[str, str]
    seal: Seal | None = None
    warn: Callable[[str], None] = attrs.field(default=lambda text: None)


def segments(frames: int, length: int = 0) -> Iterator[tuple[int, int]]:
    """Half-open ranges of ``length`` frames, the last one apart; 0: those of the segments of a film."""
    length = length or SEGMENT
    for start in range(0, frames, length):
        yield start, min(start + length, frames)


def write_film(
    engine: Engine,
    film: Film,
    units: Iterable[RenderUnit],
    source: Portrait | Clip,
    output: Output,
    moved: list[Record] | None = None,
    side: int = 0,
) -> dict[str, float]:
    """Render ``units``, one a segment, and write them; gives the seconds by stage.

    moved: a list that the motions of the segments are added to.  side: of the crops, where it is
    not the animator's own.

    Raises MediaError or OutputError; then no file is left.
    """
    width, height = size_of(source, output, side or engine.facts.crop_size)
    watch = Stopwatch()
    look = _look(engine, source, output)
    film.path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(
        film.path,
        width,
        height,
        film.time_base,
        film.rate,
        output.codec,
        output.quality,
        film.sound,
        film.notes,
        film.seal,
    ) as writer:
        coding = writer.coding.on_workers

        def wanted() -> Iterator[SegmentUnit]:
            for unit in units:
                stamps = tuple(film.times(unit.start, unit.start + len(unit.driving)))
                yield SegmentUnit(unit, stamps, coding, look)

        for made in engine.map(film_segment, wanted()):
            watch.add(made.seconds)
            if moved is not None:
                moved.append(made.motion)
            with watch.stage("write"):
                writer.join(made.segment)
    for warning in writer.warnings:
        film.warn(warning if film.sound is None else f"{film.sound.name}: {warning}")
    return {name: round(seconds, 3) for name, seconds in watch.seconds.items()}


def finished_frames(
    engine: Engine,
    units: Iterable[RenderUnit],
    source: Portrait | Clip,
    output: Output,
    watch: Stopwatch,
) -> Iterator[Tensor]:
    """Render ``units`` for somebody who wants frames and no file.

    Gives the frames of each unit, (n, H, W, 3) uint8, pasted back and marked as ``output`` says.
    watch: the seconds by stage are added to it.  Raises MediaError.
    """
    look = _look(engine, source, output)
    for span in engine.map(finish_span, (FrameUnit(unit, look) for unit in units)):
        watch.add(span.seconds)
        yield span.rgb


def size_of(source: Portrait | Clip, output: Output, crop: int) -> tuple[int, int]:
    """Width and height of a result in pixels. crop: side of the animator's crops."""
    if output.frame == "crop":
        return crop, crop
    if isinstance(source, Clip):
        return source.info.width, source.info.height
    return source.rgb.shape[1], source.rgb.shape[0]


def write_still(
    engine: Engine,
    path: Path,
    unit: RenderUnit,
    source: Portrait | Clip,
    output: Output,
    notes: Mapping[str, str],
    seal: Seal | None,
) -> dict[str, float]:
    """Render one frame and write it as a picture; gives the seconds by stage. Raises OutputError."""
    watch = Stopwatch()
    frames = next(finished_frames(engine, [unit], source, output, watch))
    write_image(path, frames[0], metadata=notes, seal=seal)
    upload(path, notes)
    return {name: round(seconds, 3) for name, seconds in watch.seconds.items()}


def _look(engine: Engine, source: Portrait | Clip, output: Output) -> Look:
    """How frames are finished."""
    if output.frame == "crop" or isinstance(source, Clip):
        return Look(output.frame != "crop", output.mark)
    return Look(True, output.mark, engine.keep(source.rgb), source.square)
