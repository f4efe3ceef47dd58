"""Stage transfer: the motion of each result frame, from a source's and a driving clip's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import attrs
import torch
from torch import Tensor

from mmfa_components.errors import ConfigError
from mmfa_components.geometry.openings import mouth_opening
from mmfa_components.geometry.shots import shot_runs
from mmfa_components.geometry.transfer import Mode, choose_reference, steadied, transfer_motion
from mmfa_components.kinds import OwnTransfer
from mmfa_components.records import FaceTrack, MotionKind, Record
from pipelines.config.schema import Transfer
from pipelines.stages.worker import Worker

MOST_CANDIDATES = 2000
"""Frames the reference is chosen among; longer clips are sampled evenly, so that memory does not grow with their length."""

R_co = TypeVar("R_co", bound=Record, covariant=True)


class Stored(Protocol[R_co]):
    """A framewise record that is read span by span, such as an entry of the cache."""

    def __len__(self) -> int: ...
    def read(self, start: int, stop: int) -> R_co: ...


@attrs.frozen(eq=False)
class Carry:
    """How a driving motion becomes a result's.

    reference: the driving clip's reference frame (N = 1), or one row a frame (one reference a shot).  modes: by field.
    """

    reference: Record
    modes: Mapping[str, Mode]


def modes_of(transfer: Transfer, kind: MotionKind) -> dict[str, Mode]:
    """The mode of every field of a motion."""
    return {name: Mode(transfer.mode(name), transfer.amount.get(name, 1.0)) for name in kind.fields}


def transfer_facts(transfer: Transfer, kind: MotionKind, reference: str | int) -> dict[str, Any]:
    """What of the transfer decides a result, however it is written; amounts count only where they are not 1."""
    modes = modes_of(transfer, kind)
    amounts = {name: mode.amount for name, mode in modes.items() if mode.amount != 1.0}
    return {**{name: mode.origin for name, mode in modes.items()}, "reference": reference, **({"amount": amounts} if amounts else {})}


def carry_over(worker: Worker, source: Record, driving: Record, carry: Carry) -> Record:
    """The motion of the result, on the CPU in float32: by the animator's own rule where it has one, else by the laws of its fields."""
    if isinstance(worker.animator, OwnTransfer):
        parts = []
        for start, stop in [(0, len(driving))] if len(carry.reference) == 1 else _same_rows(carry.reference):
            own = source if len(source) == 1 else source[start:stop]
            reference = carry.reference[start : start + 1]
            parts.append(worker.animator.transfer(own, driving[start:stop], reference, carry.modes).to("cpu"))
        return type(parts[0]).concatenate(parts)
    return transfer_motion(source, driving, carry.reference, carry.modes, worker.motion.zeroed)


def _same_rows(record: Record) -> list[tuple[int, int]]:
    """Half-open ranges of equal rows."""
    changes = torch.zeros(len(record), dtype=torch.long)
    for values in record.tensors().values():
        changes[1:] += (values[1:] != values[:-1]).flatten(1).any(1).long().cpu()
    return shot_runs(changes.gt(0).long().cumsum(0))


def read_motion(stored: Stored[Record], start: int, stop: int, kind: MotionKind, radius: int = 0, stretch: Tensor | None = None) -> Record:
    """Motion of frames ``start`` to ``stop``, as the record of ``kind``; what ``kind`` says is steadied over ``radius`` frames to both sides.

    stretch: (N,) numbers of the runs of one shot and one person; each is steadied by itself. The result is the same however a clip
    is cut into spans.
    """
    if radius > 0 and stretch is not None:
        runs = [(max(a, start), min(b, stop), a, b) for a, b in shot_runs(stretch) if a < stop and b > start]
        return kind.record.concatenate([_steadied(stored, *run, kind, radius) for run in runs])
    return _steadied(stored, start, stop, 0, len(stored), kind, radius)


def _steadied(stored: Stored[Record], start: int, stop: int, first: int, last: int, kind: MotionKind, radius: int) -> Record:
    """Frames ``start`` to ``stop`` of the stretch from ``first`` to ``last``."""
    low, high = max(first, start - radius), min(last, stop + radius)
    rows = steadied(stored.read(low, high).plain(kind.record), kind.smooth, radius)
    return rows[start - low : stop - low]


def smoothing_radius(seconds: float, rate: float) -> int:
    """Frames to each side of a centred window of ``seconds`` at ``rate`` frames a second."""
    return round(seconds * rate / 2)


def find_reference(
    motion: Stored[Record],
    track: Stored[FaceTrack] | None,
    wanted: str | int,
    where: str,
    kind: MotionKind,
    span: int = 256,
    neutral: int | None = None,
) -> int:
    """Index of the driving clip's reference frame: the one given, or the most neutral ("auto"), as ``kind`` says.

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
            motions.append(motion.read(start, stop)[rows].plain(kind.record))
            if track is not None:
                faces = track.read(start, stop)[rows]
                found.append(faces.found)
                mouths.append(mouth_opening(faces.points))
    seen = (None, None) if track is None else (torch.cat(found), torch.cat(mouths))
    return stride * choose_reference(kind.record.concatenate(motions), kind, *seen)
