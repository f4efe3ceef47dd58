"""Results: segments that workers encode, joined to a file with exact times, sound and notes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import attrs

from mmfa_components.records import Record
from pipelines.config.schema import Output
from pipelines.engines.base import Engine
from pipelines.media import SEGMENT, VideoWriter, write_image
from pipelines.remote import upload
from pipelines.runs.clips import Clip
from pipelines.runs.sealing import Seal
from pipelines.stages.encode import Portrait
from pipelines.stages.film import Look, SegmentUnit, film_segment, still_frame
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


def segments(frames: int) -> Iterator[tuple[int, int]]:
    """Half-open frame ranges of the segments of a film."""
    for start in range(0, frames, SEGMENT):
        yield start, min(start + SEGMENT, frames)


def write_film(
    engine: Engine,
    film: Film,
    units: Iterable[RenderUnit],
    source: Portrait | Clip,
    output: Output,
    moved: list[Record] | None = None,
) -> dict[str, float]:
    """Render ``units``, one a segment, and write them; gives the seconds by stage.

    moved: a list that the motions of the segments are added to.

    Raises MediaError or OutputError; then no file is left.
    """
    crop = engine.facts.crop_size
    if output.frame == "crop":
        width = height = crop
    elif isinstance(source, Clip):
        width, height = source.info.width, source.info.height
    else:
        height, width = source.rgb.shape[:2]
    watch = Stopwatch()
    look = _look(engine, source, output)
    film.path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(
        film.path, width, height, film.time_base, film.rate, output.codec, output.quality, film.sound, film.notes, film.seal,
    ) as writer:  # fmt: skip
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


def write_still(
    engine: Engine, path: Path, unit: RenderUnit, source: Portrait | Clip, output: Output, notes: Mapping[str, str], seal: Seal | None
) -> dict[str, float]:
    """Render one frame and write it as a picture; gives the seconds by stage. Raises OutputError."""
    units = [(unit, _look(engine, source, output))]
    frame, seconds = next(iter(engine.map(still_frame, units)))
    write_image(path, frame, metadata=notes, seal=seal)
    upload(path, notes)
    return {name: round(value, 3) for name, value in seconds.items()}


def _look(engine: Engine, source: Portrait | Clip, output: Output) -> Look:
    """How frames are finished."""
    if output.frame == "crop" or isinstance(source, Clip):
        return Look(output.frame != "crop", output.mark)
    return Look(True, output.mark, engine.keep(source.rgb), source.square)
