"""Stage transfer: the motion of each result frame, from a source's and a driving clip's."""

from __future__ import annotations

from typing import Protocol, TypeVar

import torch
from torch import Tensor

from mmfa_components.errors import ConfigError
from mmfa_components.geometry.shots import shot_runs
from mmfa_components.geometry.track import smooth, smooth_rotation
from mmfa_components.geometry.transfer import TransferModes, choose_reference, mouth_opening
from mmfa_components.records import FaceTrack, Motion, Record
from pipelines.config.schema import Transfer

MOST_CANDIDATES = 2000
"""Frames the reference is chosen among; longer clips are sampled evenly, so that memory does not grow with their length."""

R_co = TypeVar("R_co", bound=Record, covariant=True)


class Stored(Protocol[R_co]):
    """A framewise record that is read span by span, such as an entry of the cache."""

    def __len__(self) -> int: ...
    def read(self, start: int, stop: int) -> R_co: ...


def modes_of(transfer: Transfer) -> TransferModes:
    """The modes of a pipeline."""
    return TransferModes(transfer.rotation, transfer.scale, transfer.translation, transfer.expression)


def read_motion(stored: Stored[Motion], start: int, stop: int, radius: int = 0, stretch: Tensor | None = None) -> Motion:
    """Motion of frames ``start`` to ``stop``; the head's pose is steadied over ``radius`` frames to both sides, expression is not.

    stretch: (N,) numbers of the shots; each is steadied by itself. The result is the same however a clip is cut into spans.
    """
    if radius > 0 and stretch is not None:
        runs = [(max(a, start), min(b, stop), a, b) for a, b in shot_runs(stretch) if a < stop and b > start]
        return Motion.concatenate([_steadied(stored, *run, radius) for run in runs])
    return _steadied(stored, start, stop, 0, len(stored), radius)


def _steadied(stored: Stored[Motion], start: int, stop: int, first: int, last: int, radius: int) -> Motion:
    """Frames ``start`` to ``stop`` of the stretch from ``first`` to ``last``."""
    low, high = max(first, start - radius), min(last, stop + radius)
    rows = plain_motion(stored.read(low, high))
    if radius > 0:
        pose = smooth_rotation(rows.rotation, radius)
        rows = Motion(pose, smooth(rows.scale, radius), smooth(rows.translation, radius), rows.expression)
    return rows[start - low : stop - low]


def smoothing_radius(seconds: float, rate: float) -> int:
    """Frames to each side of a centred window of ``seconds`` at ``rate`` frames a second."""
    return round(seconds * rate / 2)


def plain_motion(motion: Motion) -> Motion:
    """A motion without what subclasses add: the expression of the rest of the face stands for the whole."""
    return Motion(motion.rotation, motion.scale, motion.translation, motion.expression)


def find_reference(
    motion: Stored[Motion], track: Stored[FaceTrack] | None, wanted: str | int, where: str, span: int = 256, neutral: int | None = None
) -> int:
    """Index of the driving clip's reference frame: the one given, or the most neutral and frontal ("auto").

    track: None for a motion file, whose mouth was not seen.  neutral: taken for "auto" when it is known.

    Raises ConfigError when the index given is not a frame of the clip.
    """
    frames = len(motion)
    if wanted != "auto":
        index = int(wanted)
        if not 0 <= index < frames:
            fix = f'set transfer.reference to 0 to {frames - 1}, or "auto"'
            raise ConfigError(f"reference frame {index} is not in this clip of {frames} frames", where=where, fix=fix)
        return index
    if neutral is not None and 0 <= neutral < frames:
        return neutral
    stride = -(-frames // MOST_CANDIDATES)
    motions, found, mouths = [], [], []
    for start in range(0, frames, span):
        stop = min(start + span, frames)
        rows = torch.arange(-start % stride, stop - start, stride)
        if len(rows):
            motions.append(plain_motion(motion.read(start, stop)[rows]))
            if track is not None:
                faces = track.read(start, stop)[rows]
                found.append(faces.found)
                mouths.append(mouth_opening(faces.points))
    if track is None:
        return stride * choose_reference(Motion.concatenate(motions))
    return stride * choose_reference(Motion.concatenate(motions), torch.cat(found), torch.cat(mouths))
