"""Stage associate: which of the faces seen in each frame is the one that is followed.

Decided without pictures, from boxes, scores, a small appearance of every face and a small
signature of every frame. A *shot* is what one camera sees without a break.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import attrs
import torch
from torch import Tensor

from mmfa_components.errors import NoFaceError

FOLLOWING_VERSION = 2
"""Raised whenever another face may be followed in the same file: tracks in the cache are known by it."""
ALIKE = 0.13
"""Mean difference of two appearances up to which they are one person's. Of 120 clips of 60 people
99 in 100 pairs of different people lie above 0.12, 95 above 0.147; frames of one person 0.2 s
apart lie below 0.074 in 99 of 100."""
LOOSE = 0.20
"""As ALIKE, for a face that is in its place and was seen at most BRIEF frames ago."""
BRIEF = 3
REACH, REACH_A_FRAME, FARTHEST = 0.6, 0.15, 1.5
"""How far a face may have moved since it was seen, in widths of its box: at once, more for every
frame since, at most."""
CHANGED = 0.08
"""Difference of a cell of two signatures from which on it has changed."""
SUDDEN = 2.5
"""How many times more cells than lately have changed where the camera changes."""
LEAST_CHANGE = 0.06
"""Share of the cells that change at least where the camera changes."""
GALLERY = 12
"""Appearances of a person that are remembered."""


@attrs.frozen(eq=False)
class FrameSight:
    """What was seen in one frame.

    boxes: (M, 4) x0, y0, x1, y1 in pixels.  scores: (M,) in [0, 1].  looks: (M, D) appearances, in
    [0, 1].  signature: (S,) of the whole frame, in [0, 1].
    """

    boxes: Tensor
    scores: Tensor
    looks: Tensor
    signature: Tensor


@attrs.frozen
class Choice:
    """The face followed in one frame: its row among those seen (None: not there), the number of the
    shot and of the person. cut: the camera changes with this frame."""

    row: int | None
    shot: int
    person: int
    cut: bool = False


@attrs.frozen
class Rules:
    """select: "largest", or the index of the face from the left.  max_gap: frames without the face
    after which another may be followed.  min_score: of a face at all.  start_score: of one that a
    track starts on.  where: the file, for errors.
    """

    select: str | int
    max_gap: int
    min_score: float
    start_score: float
    where: str


def associate(sights: Iterable[FrameSight], rules: Rules) -> Iterator[Choice]:
    """Who is followed in each frame of a clip. Raises NoFaceError when the face asked for is not there."""
    state = Association(rules)
    return (state.step(sight) for sight in sights)


class Association:
    """The state of :func:`associate` between two frames.

    A track starts, and starts anew, on a detection of at least ``start_score``; it goes on with
    weaker ones. It goes on with a face that is near in place and like the person in appearance. A
    face of somebody else is taken up only after a cut, or when the person was gone for more than
    ``max_gap`` frames; people seen before come first, and the one selected is followed again as
    soon as it is back.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.frame = self.shot = self.person = self.gap = 0
        self.box: Tensor | None = None  # (4,) of the last detection taken in this shot
        self.look: Tensor | None = None  # (D,) its appearance
        self.people: list[list[Tensor]] = []  # appearances (D,) of everyone followed so far
        self.last: FrameSight | None = None
        self.taken: FrameSight | None = None  # the last one in which the face was seen
        self.usual = 0.0  # share of cells that had changed from frame to frame up to then
        self.lately: deque[float] = deque(maxlen=6)  # shares of cells changed
        self.weak = 0.0  # best score of a face too weak to start on

    def step(self, sight: FrameSight) -> Choice:
        """Take the next frame."""
        cut = self._is_cut(sight)
        if cut:
            self.shot, self.box, self.gap = self.shot + 1, None, 0
            self.lately.clear()
        good = (sight.scores >= self.rules.min_score).nonzero().flatten()
        row = self._choose(sight, good) if len(good) else None
        if row is None:
            self.gap += 1
        else:
            self._take(sight, row)
        self.last = sight
        self.frame += 1
        return Choice(row, self.shot, self.person, cut)

    # ---- which face ----------------------------------------------------------------------------
    def _choose(self, sight: FrameSight, good: Tensor) -> int | None:
        boxes, looks = sight.boxes[good], sight.looks[good]
        sure = sight.scores[good] >= self.rules.start_score
        if not self.people:
            if not bool(sure.any()):
                self.weak = max(self.weak, float(sight.scores[good].max()))
                return None
            return int(good[self._select(boxes)])
        if self.person and self.box is not None:
            back = self._back(looks, sure)
            if back is not None:
                self._begin(0)
                return int(good[back])
        if self.box is not None:
            here = self._goes_on(boxes, looks)
            if here is not None:
                return int(good[here])
            if self.gap <= self.rules.max_gap:
                return None
        return self._take_up(boxes, looks, sure, good)

    def _back(self, looks: Tensor, sure: Tensor) -> int | None:
        """The person who was selected, where somebody else has been followed since."""
        strange = _strangeness(looks, self.people[0])
        best = int(strange.argmin())
        other = _strangeness(looks[best : best + 1], self.people[self.person])
        return best if sure[best] and strange[best] < ALIKE <= float(other) else None

    def _goes_on(self, boxes: Tensor, looks: Tensor) -> int | None:
        """The face that goes on from the last one: near in place and size, and of the person."""
        assert self.box is not None
        distance, growth = _moved(boxes, self.box)
        reach = min(FARTHEST, REACH + REACH_A_FRAME * self.gap)
        strange = _strangeness(looks, self.people[self.person])
        if self.look is not None:
            strange = torch.minimum(strange, (looks - self.look).abs().mean(1))
        near = (distance < reach) & (growth < 1.0)
        if self.gap:
            near &= strange < (LOOSE if self.gap <= BRIEF else ALIKE)
        if not bool(near.any()):
            return None
        cost = distance + growth + strange / ALIKE
        return int(torch.where(near, cost, torch.full_like(cost, torch.inf)).argmin())

    def _take_up(self, boxes: Tensor, looks: Tensor, sure: Tensor, good: Tensor) -> int | None:
        """A face whose place is not known: the person's, that of somebody seen before, else the largest."""
        order = [self.person, *(p for p in range(len(self.people)) if p != self.person)]
        for person in order:
            strange = _strangeness(looks, self.people[person])
            best = int(strange.argmin())
            if strange[best] < ALIKE and sure[best]:
                self._begin(person)
                return int(good[best])
        if not bool(sure.any()):
            return None
        self._begin(len(self.people))
        return int(good[int((_area(boxes) * sure).argmax())])

    def _begin(self, person: int) -> None:
        self.person = person
        if person == len(self.people):
            self.people.append([])
        self.look = None

    def _take(self, sight: FrameSight, row: int) -> None:
        self.box, self.gap, self.look = sight.boxes[row], 0, sight.looks[row]
        self.taken, self.usual = sight, max(self.lately, default=0.0)
        if not self.people:
            self.people.append([])
        known = self.people[self.person]
        if not known or float(_strangeness(self.look[None], known)) > 0.25 * ALIKE:
            known.append(self.look)
            if len(known) > GALLERY:
                del known[GALLERY // 2]  # the first ones and the latest stay

    def _select(self, boxes: Tensor) -> int:
        """The face the user selected, in the first frame that shows any. An only face is taken whatever the index."""
        if self.rules.select == "largest" or len(boxes) == 1:
            return int(_area(boxes).argmax())
        index = int(self.rules.select)
        order = boxes[:, [0, 2]].mean(dim=1).argsort()
        if not 0 <= index < len(boxes):
            what = f"face {index} was asked for, but frame {self.frame} shows {len(boxes)} faces"
            fix = f'set face.select to 0 (leftmost) to {len(boxes) - 1}, or "largest"'
            raise NoFaceError(what, where=self.rules.where, fix=fix)
        return int(order[index])

    # ---- cuts ----------------------------------------------------------------------------------
    def _is_cut(self, sight: FrameSight) -> bool:
        """Whether the camera changed: much of the picture at once, or the face jumps and the picture with it."""
        if self.last is None:
            return False
        share, everywhere = changed_share(self.last.signature, sight.signature)
        usual = max(self.lately, default=0.0)
        self.lately.append(share)
        if share > max(SUDDEN * usual, LEAST_CHANGE) and not _stays(self.last, sight):
            if share >= 0.5 and everywhere > 0.25:
                return True
            if not self.gap:
                return self._jumps(sight, share)
        if self.gap and self.taken is not None:  # since the face was seen last
            share, _ = changed_share(self.taken.signature, sight.signature)
            return share > max(SUDDEN * self.usual * self.gap, LEAST_CHANGE) and self._jumps(sight, share)
        return False

    def _jumps(self, sight: FrameSight, share: float) -> bool:
        """Whether the face is suddenly larger, smaller or elsewhere, or another one is in its place."""
        if self.box is None or self.look is None or self.gap > BRIEF or not len(sight.boxes):
            return False
        distance, growth = _moved(sight.boxes, self.box)
        strange = (sight.looks - self.look).abs().mean(1)
        nearest = int((distance + growth).argmin())
        frames = self.gap + 1
        if strange[nearest] < ALIKE:
            return bool(growth[nearest] > 0.1 * frames) or bool(distance[nearest] > 0.25 * frames)
        return share >= 0.15 and bool(distance[nearest] < 0.6) and bool(growth[nearest] < 0.5)


def changed_share(before: Tensor, after: Tensor) -> tuple[float, float]:
    """Share of the cells of two signatures (S,) that have changed: in all, and in that half of the picture which changed least."""
    changed = ((before - after).view(-1, 3).abs().amax(1) > CHANGED).float()
    side = round(len(changed) ** 0.5)
    grid, half = changed.view(side, side), side // 2
    parts = (grid[:half], grid[half:], grid[:, :half], grid[:, half:])
    return float(changed.mean()), min(float(part.mean()) for part in parts)


def _stays(last: FrameSight, sight: FrameSight) -> bool:
    """Whether some face of the frame before is still there: as large, in its place, and alike."""
    for box, look in zip(last.boxes, last.looks, strict=True):
        distance, growth = _moved(sight.boxes, box)
        strange = (sight.looks - look).abs().mean(1)
        if bool(((distance < 0.2) & (growth < 0.1) & (strange < 0.5 * ALIKE)).any()):
            return True
    return False


def _moved(boxes: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """How far each of ``boxes`` (M, 4) lies from ``last`` (4,) in its widths (M,), and how much larger or smaller it is (M,), as a logarithm."""
    side = (last[2:] - last[:2]).max()
    distance = ((boxes[:, :2] + boxes[:, 2:]) / 2 - (last[:2] + last[2:]) / 2).norm(dim=1) / side
    growth = ((boxes[:, 2:] - boxes[:, :2]).amax(dim=1) / side).log().abs()
    return distance, growth


def _strangeness(looks: Tensor, known: list[Tensor]) -> Tensor:
    """Least mean difference (M,) of appearances (M, D) from those of a person; infinite without any."""
    if not known:
        return torch.full((len(looks),), torch.inf)
    return torch.stack([(looks - one).abs().mean(1) for one in known]).amin(0)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
