"""Motion files as inputs and results of pipelines: what they must fit, and how they are read and written."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
from torch import Tensor

from cache import motion_file
from cache.motion_file import SUFFIX, MotionFile, RecordRows, Rows, write_motion
from mmfa_components.errors import MediaError
from mmfa_components.records import Record, Timestamps
from pipelines.media import MediaInfo
from pipelines.remote import present, upload
from pipelines.stages.components import Facts

__all__ = ["FileTimes", "RecordRows", "info_of", "is_motion_file", "motion_beside", "open_motion", "write_result_motion"]


@attrs.frozen(eq=False)
class FileTimes:
    """The timestamps of a motion file, read span by span as an entry of the cache is."""

    file: MotionFile

    def __len__(self) -> int:
        return len(self.file)

    def read(self, start: int, stop: int) -> Timestamps:
        """Frames ``start:stop``."""
        return Timestamps(self.file.pts(start, stop).long())


def is_motion_file(path: Path) -> bool:
    """True when a file's content says that it is a motion file; one at a URL is fetched to see. Raises MediaError as ``present`` does."""
    return motion_file.is_motion_file(present(path))


def open_motion(path: Path, facts: Facts, records: Mapping[str, type[Record]]) -> MotionFile:
    """Open a motion file for an animator.

    Raises CacheError for a damaged file, MediaError when its motion is of another kind, or its expression of other weights.
    """
    ours = facts.motion.record
    file = MotionFile(present(path), records, {ours.__name__: facts.motion})
    header = file.header
    if not issubclass(file.record, ours):
        file.close()
        what = f"holds a {file.record.__name__}, this pipeline's animator moves by {ours.__name__}"
        raise MediaError(what, where=str(path), fix="use an animator of its kind, or give the clip itself")
    if header.has_expression and header.animator and weights_of(header.animator) != weights_of(facts.animator):
        theirs, used = (_words(weights_of(a)) for a in (header.animator, facts.animator))
        file.close()
        fix = "use the animator and weights it was made with ([animator], [weights]), or make it anew from its clip"
        raise MediaError(f"its motion was made with {theirs}, this pipeline uses {used}", where=str(path), fix=fix)
    return file


def weights_of(animator: Mapping[str, Any]) -> tuple[str, tuple[tuple[str, str], ...]]:
    """What decides an animator's expression features: its name and the digests of its weights."""
    return str(animator.get("name", "")), tuple(sorted((str(k), str(v)) for k, v in animator.get("weights", {}).items()))


def info_of(path: Path, file: MotionFile) -> MediaInfo:
    """Facts of a motion file as of a clip without pictures and sound."""
    header = file.header
    duration = Fraction(len(file)) / header.rate
    return MediaInfo(path, "video", 0, 0, header.rate, header.time_base, len(file), duration)


def motion_beside(output: Path) -> Path:
    """Where the motion of a result is kept: beside it, with the suffix of motion files."""
    return output.with_name(output.stem + SUFFIX)


def write_result_motion(path: Path, motion: Rows, times: Rows, info: MediaInfo, facts: Facts, square: Tensor, source: str) -> None:
    """Keep the motion of a result, with the times and the rate of ``info``, as a motion file. Raises CacheError.

    square: crop square of the portrait it was made for.  source: file name of the clip it comes from, "" for none.
    """
    box = tuple(float(v) for v in square)
    write_motion(
        path, motion, times, rate=info.rate, time_base=info.time_base, animator=dict(facts.animator), square=box, source=source, synthetic=True
    )
    upload(path)


def _words(known: tuple[str, tuple[tuple[str, str], ...]]) -> str:
    name, weights = known
    return f"{name or 'another animator'} with {', '.join(f'{k} {v[:12]}' for k, v in weights) or 'no weights'}"
