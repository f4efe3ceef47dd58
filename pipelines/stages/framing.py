"""Stage framing: the squares through which the frames of a clip are looked at, shot by shot."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
import torch
from torch import Tensor

from mmfa_components.geometry.laws import window_mean
from mmfa_components.geometry.shots import shot_runs
from mmfa_components.records import FaceTrack
from pipelines.stages.crop import MARGIN, RISE, face_boxes, resting_square, stable_square
from pipelines.stages.track import PEOPLE

FRAMING_VERSION = 2
"""Raised whenever the squares of a track change: motion in the cache is known by it."""
STEADY, STEADY_SIZE = 4, 12
"""Frames to each side over which a moving square's place and size are averaged."""
SAME_SIZE = 1.25
"""How much larger or smaller than usual a head may be before the size of a square that goes along follows it."""
FAR_SIZE = 1.5
"""How much larger or smaller than usual a head may be before a square goes along at all."""
LARGEST_FACE = 0.75
"""Height of the face over the side of a square that was made smaller to stay in the picture."""
OUTSIDE = 0.05
"""Share of a square that may lie outside of the picture."""
MADE_UP = 0.1
"""Share from which on the user is told."""


@attrs.frozen(eq=False)
class Framing:
    """Squares of a clip's frames, in pixels.

    squares: (N, 4), what each frame is cropped by: one square a shot while the head stays in it,
    else one that goes along.  base: (N, 4), the square whose units the clip's motion is told in: the
    same for all frames of a shot.  view: (N, 4), as ``squares``, moved and made smaller so that it
    holds little that is outside the picture: what is animated where the clip is a source.
    stretch: (N,) int, number of the run of frames of one shot and one person.  cuts, people: frames
    with which a new shot, another person begins.
    """

    squares: Tensor
    base: Tensor
    view: Tensor
    stretch: Tensor
    cuts: tuple[int, ...] = ()
    people: tuple[int, ...] = ()

    @property
    def moves(self) -> bool:
        """Whether a square goes along with the head somewhere."""
        return bool((self.squares != self.base).any())

    @property
    def runs(self) -> list[tuple[int, int]]:
        """Half-open frame ranges of the stretches."""
        return shot_runs(self.stretch)


def still_framing(square: Tensor, frames: int) -> Framing:
    """One square (4,) for all frames, of a clip without pictures."""
    rows = square.expand(frames, 4)
    return Framing(rows, rows, rows, torch.zeros(frames, dtype=torch.long))


def frame_clip(spans: Iterable[FaceTrack], ratio: float, width: int, height: int, placeable: bool = True) -> Framing:
    """The squares of a clip from its track, span by span.

    ratio: height of the face over the side.  width, height: of the picture in pixels.  placeable:
    motion can be told in the units of another square, so a square may go along with a head that
    travels; else one square is enlarged over its whole way.
    """
    boxes, found, shots, persons = [], [], [], []
    for rows in spans:
        boxes.append(face_boxes(rows))
        found.append(rows.found)
        shots.append(rows.shot)
        persons.append(rows.person)
    seen, shot, person = torch.cat(found), torch.cat(shots), torch.cat(persons)
    faces = torch.zeros(len(seen), 4)
    faces[seen] = torch.cat(boxes)
    changes = shot_runs(shot * PEOPLE + person)
    squares, base, view = (torch.full((len(seen), 4), torch.nan) for _ in range(3))
    stretch = torch.zeros(len(seen), dtype=torch.long)
    for number, (start, stop) in enumerate(changes):
        stretch[start:stop] = number
        here = seen[start:stop].nonzero().flatten()
        if len(here):
            squares[start:stop], base[start:stop] = _follow(faces[start:stop][here], here, stop - start, ratio, placeable)
            fitted = _viewed(squares[start:stop], faces[start:stop][here], here, width, height)
            view[start:stop] = fitted if placeable else squares[start:stop]
    squares, base, view = (_without_holes(t) for t in (squares, base, view))
    cuts = tuple(a for a, _ in shot_runs(shot)[1:])
    people = tuple(a for a, _ in shot_runs(person)[1:])
    return Framing(squares, base, view, stretch, cuts, people)


def _without_holes(squares: Tensor) -> Tensor:
    """Stretches that show no face get the square of the one before, or after (rows of NaN in (N, 4))."""
    known = (~squares[:, 0].isnan()).nonzero().flatten()
    index = torch.searchsorted(known, torch.arange(len(squares)), right=True) - 1
    return squares[known[index.clamp_min(0)]]


def _follow(boxes: Tensor, frames: Tensor, length: int, ratio: float, goes_along: bool) -> tuple[Tensor, Tensor]:
    """The squares (length, 4) of one stretch and its base (4,), from the boxes (M, 4) of ``frames`` (M,)."""
    heights = boxes[:, 3] - boxes[:, 1]
    usual, least, most = heights.median(), heights.quantile(0.02), heights.quantile(0.98)
    resting = resting_square(boxes, ratio)
    if goes_along and not usual / FAR_SIZE < least <= most < usual * FAR_SIZE:
        resting = None
    if resting is not None or not goes_along:
        square = stable_square(boxes, ratio) if resting is None else resting
        return square.expand(length, 4), square
    low, high = boxes[:, :2], boxes[:, 2:]
    middle = _filled((low + high) / 2, frames, length)
    reach = _filled((high - low) / 2, frames, length).amax(1)
    size = _filled(heights[:, None], frames, length)[:, 0]
    steady = bool(most < SAME_SIZE * usual) and bool(least > usual / SAME_SIZE)
    side = (usual / ratio).expand(length) if steady else window_mean(size.log(), STEADY_SIZE).exp() / ratio
    side = torch.maximum(side, 2 * reach / (1 - 2 * MARGIN))
    up = side[:, None] * boxes.new_tensor([0.0, RISE])
    centre = window_mean(middle, STEADY) - up
    slack = (side * (0.5 - MARGIN) - reach)[:, None]
    centre = torch.minimum(torch.maximum(centre, middle - slack), middle + slack)
    squares = torch.cat([centre, side[:, None], torch.zeros(length, 1)], 1)
    base_side = usual / ratio
    place = ((low + high) / 2).median(dim=0).values - base_side * boxes.new_tensor([0.0, RISE])
    return squares, torch.stack([place[0], place[1], base_side, torch.zeros_like(base_side)])


def _filled(rows: Tensor, frames: Tensor, length: int) -> Tensor:
    """Rows (M, K) of ``frames`` (M,), ascending, for all frames (length, K): linear between, held at both ends."""
    at = torch.arange(length)
    right = torch.searchsorted(frames, at).clamp(max=len(frames) - 1)
    left = (torch.searchsorted(frames, at, right=True) - 1).clamp_min(0)
    gap = (frames[right] - frames[left]).clamp_min(1)
    weight = ((at - frames[left]).clamp_min(0) / gap)[:, None].to(rows)
    return torch.where((frames[left] == frames[right])[:, None], rows[left], torch.lerp(rows[left], rows[right], weight))


# ---- what is outside of the picture ---------------------------------------------------------------
def outside_share(square: Tensor, width: int, height: int) -> float:
    """Share of an upright square (4,) that lies outside of a picture."""
    x, y, side = (float(v) for v in square[:3])
    across = min(x + side / 2, width) - max(x - side / 2, 0)
    down = min(y + side / 2, height) - max(y - side / 2, 0)
    return 1 - max(0.0, across) * max(0.0, down) / side**2


def made_up(squares: Tensor, width: int, height: int) -> list[str]:
    """What the user should know of squares (N, 4) that hold much that is not in the picture."""
    share = max(outside_share(square, width, height) for square in squares.unique(dim=0))
    if share <= MADE_UP:
        return []
    return [f"{share:.0%} of the crop lies outside of the picture and is made up; more room around the head gives better results"]


def fit_square(square: Tensor, face: Tensor, width: int, height: int) -> Tensor:
    """The square (4,) moved, and made smaller where that is not enough, so that at most OUTSIDE of it lies outside of the picture.

    face: (4,) box that stays inside, MARGIN of the side away from the border.  The face becomes at
    most LARGEST_FACE of the side high. Where all this is not enough, the best square found is given.
    """
    if outside_share(square, width, height) <= OUTSIDE:
        return square
    extent = face[2:] - face[:2]
    least = min(float(square[2]), max(float(extent[1]) / LARGEST_FACE, float(extent.max()) / (1 - 2 * MARGIN)))
    best = square
    for side in torch.linspace(float(square[2]), least, 16).tolist():
        fitted = _moved_inside(square, face, side, width, height)
        if outside_share(fitted, width, height) < outside_share(best, width, height) - 1e-6:
            best = fitted
        if outside_share(best, width, height) <= OUTSIDE:
            break
    return best


def _moved_inside(square: Tensor, face: Tensor, side: float, width: int, height: int) -> Tensor:
    middle = square.new_tensor([width / 2, height / 2])
    room = (square.new_tensor([width, height]) - side).clamp_min(0) / 2
    centre = torch.minimum(torch.maximum(square[:2], middle - room), middle + room)
    reach = side * (0.5 - MARGIN)
    centre = torch.minimum(torch.maximum(centre, face[2:] - reach), face[:2] + reach)
    return torch.stack([centre[0], centre[1], square.new_tensor(side), square[3]])


def _viewed(squares: Tensor, faces: Tensor, frames: Tensor, width: int, height: int) -> Tensor:
    """The squares (n, 4) of a stretch fitted to the picture; those that go along are moved only, each by its own face."""
    if bool((squares == squares[:1]).all()):
        face = torch.cat([faces[:, :2].quantile(0.01, dim=0), faces[:, 2:].quantile(0.99, dim=0)])
        return fit_square(squares[0], face, width, height).expand_as(squares)
    boxes = _filled(faces, frames, len(squares))
    rows = [_moved_inside(s, f, float(s[2]), width, height) for s, f in zip(squares, boxes, strict=True)]
    return torch.stack(rows)
