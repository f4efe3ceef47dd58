"""The reference of every shot: what relative motion is told from."""

from __future__ import annotations

import attrs
import torch
from torch import Tensor

from mmfa_components.geometry.openings import mouth_opening
from mmfa_components.geometry.shots import shot_runs
from mmfa_components.geometry.transfer import reference_cost
from mmfa_components.records import FaceTrack, MotionKind, Record
from pipelines.stages.transfer import MOST_CANDIDATES, Stored, find_reference, read_motion


@attrs.frozen(eq=False)
class References:
    """Reference frames of a clip.

    main: the one of the whole clip.  frames: one for each stretch (a run of frames of one shot and
    one person).  stretch: (N,) number of each frame's stretch.  motion: one row for each stretch.
    """

    main: int
    frames: tuple[int, ...]
    stretch: Tensor
    motion: Record

    def rows(self, start: int, stop: int) -> Record:
        """The reference of each of the clip's frames ``start`` to ``stop``; one row where it is one for all."""
        return self.at(torch.arange(start, stop))

    def at(self, frames: Tensor) -> Record:
        """As ``rows``, of frames (n,) of these numbers."""
        return self.motion if len(self.frames) == 1 else self.motion[self.stretch[frames]]


def find_references(
    motion: Stored[Record], track: Stored[FaceTrack] | None, stretch: Tensor, wanted: str | int, where: str, kind: MotionKind,
    radius: int = 0, neutral: int | None = None,
) -> References:  # fmt: skip
    """The reference frames of a clip.

    A clip of one shot has the frame given, or its most neutral and frontal one. Of several shots
    each has its own, for a change of camera is no movement of the head; the frame given serves the
    shot it is in. What ``face.smooth`` steadies is the head's pose; all else, its expression, is the
    person's, whatever the camera: at rest it is taken from the best of all frames of that person.

    stretch: (N,) number of the stretch of each frame.  The other arguments are those of find_reference.
    Raises ConfigError when the index given is not a frame of the clip.
    """
    runs = shot_runs(stretch)
    if len(runs) == 1 or track is None:
        main = find_reference(motion, track, wanted, where, kind, neutral=neutral)
        return References(main, (main,), stretch, read_motion(motion, main, main + 1, kind, radius))
    given = None if wanted == "auto" else find_reference(motion, track, wanted, where, kind)
    best: list[tuple[int, float, int]] = []  # frame, its cost among all frames of the person, the person
    persons = [int(track.read(a, a + 1).person[0]) for a, _ in runs]
    costs = _costs(motion, track, runs, persons, kind)
    for (start, stop), person, cost in zip(runs, persons, costs, strict=True):
        frame = start + int(cost.argmin())
        if given is not None and start <= given < stop:
            best.append((given, -torch.inf, person))
        else:
            best.append((frame, float(cost.min()), person))
    lasting = [name for name in kind.fields if name not in kind.smooth] if kind.smooth else []
    rows: list[Record] = []
    for frame, worst, person in best:
        if worst == torch.inf and rows:  # a shot without the face goes on as the one before ended
            rows.append(rows[-1])
            continue
        pose = read_motion(motion, frame, frame + 1, kind, radius, stretch)
        resting = min((b for b in best if b[2] == person), key=lambda b: b[1])[0]
        rest = motion.read(resting, resting + 1).plain(kind.record)
        rows.append(attrs.evolve(pose, **{name: getattr(rest, name) for name in lasting}))
    main = min((b for b in best if b[2] == best[0][2]), key=lambda b: b[1])[0]
    return References(main, tuple(b[0] for b in best), stretch, kind.record.concatenate(rows))


def _costs(motion: Stored[Record], track: Stored[FaceTrack], runs: list[tuple[int, int]], persons: list[int], kind: MotionKind) -> list[Tensor]:
    """How unfit the frames of each stretch are as reference, among all of the same person; sampled evenly where there are many."""
    stride = -(-runs[-1][1] // MOST_CANDIDATES)
    rows = [torch.arange(0, b - a, stride) for a, b in runs]
    result: list[Tensor] = [torch.empty(0)] * len(runs)
    for person in sorted(set(persons)):
        own = [k for k, p in enumerate(persons) if p == person]
        motions = kind.record.concatenate([motion.read(*runs[k])[rows[k]].plain(kind.record) for k in own])
        faces = [track.read(*runs[k])[rows[k]] for k in own]
        found = torch.cat([f.found for f in faces])
        cost = reference_cost(motions, kind, found, torch.cat([mouth_opening(f.points) for f in faces]))
        for k, part in zip(own, cost.split([len(rows[k]) for k in own]), strict=True):
            result[k] = part.new_full((runs[k][1] - runs[k][0],), torch.inf).index_copy(0, rows[k], part)
    return result
