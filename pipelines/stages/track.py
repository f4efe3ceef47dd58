"""Stage track: follow one face through a clip, bridge short gaps, mark what was lost."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import attrs
import torch
from torch import Tensor

from mmfa_components.errors import NoFaceError
from mmfa_components.geometry.shots import ShotFiller
from mmfa_components.geometry.squares import region_of_detection, square_of_landmarks
from mmfa_components.geometry.track import GapFiller
from mmfa_components.records import FaceRegions, FaceTrack, Frames
from pipelines.config.schema import Face
from pipelines.stages.associate import Association, Choice, FrameSight, Rules
from pipelines.stages.frames import Chunk, chunk_length, to_float
from pipelines.stages.sight import Eyes, sights_of
from pipelines.stages.worker import Stopwatch, Worker

MIN_PRESENCE = 0.5
FOLLOWED_AT_ONCE = 32
"""Frames, on a GPU: detector and landmark network take it some 20 ms a call, whether for 8 frames or for 24 (docs/ray.md)."""
PEOPLE = 1 << 20
"""More people than a clip shows: shot and person in one number."""
MESHES = (468, 478)
"""Numbers of points of the face meshes whose eye corners are known."""
REGION_RATIO = 2 / 3
"""Height of a face's landmarks over the side of the region a landmark network looks at (1.5 times the face)."""


@attrs.frozen(eq=False)
class TrackUnit:
    """A clip to follow a face through. ``width`` and ``height`` as probed."""

    path: Path
    face: Face
    width: int
    height: int


@attrs.frozen(eq=False)
class TrackStep:
    """What one chunk gave: rows of the track that became known (gaps are held back until they close), times of the frames read.

    damage: in the last step, what ended the reading of the file early, or "".
    """

    rows: tuple[FaceTrack, ...]
    pts: tuple[int, ...]
    seconds: dict[str, float] = attrs.field(factory=dict)
    damage: str = ""


def track_clip(worker: Worker, unit: TrackUnit) -> Iterator[TrackStep]:
    """Follow the selected face through a clip. The rows of all steps joined are the clip's FaceTrack.

    Raises NoFaceError when no frame shows a face or the index asked for does not exist; MediaError for a damaged file.
    """
    tracker = FaceTracker(worker, unit.face, str(unit.path), start_score=(1 + unit.face.min_score) / 2)
    at_once = worker.batch if worker.device.type == "cpu" else max(worker.batch, FOLLOWED_AT_ONCE)
    chunks = worker.frames.chunks(unit.path, 0, None, chunk_length(at_once, unit.width, unit.height))
    while True:
        watch = Stopwatch()
        with watch.stage("track"):  # decoding included
            if (chunk := next(chunks, None)) is None:
                break
            rows = tuple(tracker.step(chunk))
        yield TrackStep(rows, chunk.pts, watch.seconds)
        worker.done(len(chunk.pts))
    if not tracker.seen:
        raise no_face(unit.path, "video", tracker.state.weak)
    yield TrackStep(tuple(tracker.finish()), (), damage=worker.frames.damage(unit.path))


def track_still(worker: Worker, rgb: Tensor, face: Face, path: Path) -> FaceTrack:
    """The face of one image (H, W, 3) uint8 as a track of one frame. Raises NoFaceError when there is none."""
    tracker = FaceTracker(worker, face, str(path), start_score=face.min_score)
    rows = tracker.faces(to_float(rgb[None], worker.device)).rows
    if rows is None:
        raise no_face(path, "image")
    return rows


def no_face(path: Path, kind: str, weak: float = 0.0) -> NoFaceError:
    """The error for a file without a face. weak: score of the best face that was too weak to start on, 0 for none."""
    if weak:
        what = f"no face was found for sure in this {kind}, the best scored {weak:.2f}"
        fix = f"set face.min_score to {max(0.0, 2 * weak - 1.01):.2f} to follow it all the same, or use a {kind} that shows a face more clearly"
        return NoFaceError(what, where=str(path), fix=fix)
    fix = "use one that shows a face, larger, sharper or more frontal"
    return NoFaceError(f"no face was found in this {kind}", where=str(path), fix=fix)


def _mark(rows: FaceTrack, bridged: bool) -> FaceTrack:
    return attrs.evolve(
        rows,
        found=torch.zeros_like(rows.found),
        usable=torch.full_like(rows.usable, bridged),
        presence=torch.zeros_like(rows.presence),
    )


@attrs.frozen(eq=False)
class Seen:
    """The next frames of a clip.

    rows: of the frames that show the face, None when none does.  found: which these are.  choices: who is followed in each.
    """

    rows: FaceTrack | None
    found: list[bool]
    choices: list[Choice]


class FaceTracker:
    """Finds the selected face in every chunk it is given, in order. The result does not depend on how the clip is cut up.

    Who is followed is decided by :class:`~pipelines.stages.associate.Association`. A track starts, and starts anew after a long
    loss or a cut, on a detection of at least ``start_score``; it goes on with weaker ones. So lettering that passes for a face in a
    few frames starts none.
    """

    def __init__(self, worker: Worker, face: Face, where: str, start_score: float) -> None:
        self.worker, self.face = worker, face
        self.detect = Eyes(worker.components.detector)
        self.state = Association(Rules(face.select, face.max_gap, face.min_score, start_score, where))
        self.filler: ShotFiller[FaceTrack] = ShotFiller(GapFiller(face.max_gap, mark=_mark))
        self.previous: Tensor | None = None  # (1, P, 3), landmarks of the frame before, None when it had none
        self.numbers: deque[tuple[int, int]] = deque()  # shot and person of the frames whose rows are not known yet
        self.seen = False  # True once a face was found

    def step(self, chunk: Chunk) -> Iterator[FaceTrack]:
        """Take the next frames, and yield the rows of the track that are now known."""
        seen = self.faces(to_float(chunk.rgb, self.worker.device))
        self.numbers.extend((c.shot, c.person) for c in seen.choices)
        stretches = [c.shot * PEOPLE + c.person for c in seen.choices]
        for rows in self.filler.push(seen.rows, seen.found, stretches):
            yield self._numbered(rows)

    def finish(self) -> Iterator[FaceTrack]:
        """The rows that are left at the end of the clip."""
        for rows in self.filler.finish():
            yield self._numbered(rows)

    def _numbered(self, rows: FaceTrack) -> FaceTrack:
        """Rows with shot and person of their own frames: a row that is repeated may be of others."""
        numbers = torch.tensor([self.numbers.popleft() for _ in range(len(rows))], dtype=torch.long)
        return attrs.evolve(rows, shot=numbers[:, 0], person=numbers[:, 1])

    def faces(self, rgb: Tensor) -> Seen:
        """Faces of the next frames (n, 3, H, W)."""
        frames = Frames(rgb)
        detected = self.detect(rgb)
        detections = detected.to("cpu")
        sights = sights_of(rgb, detected)
        choices = [self.state.step(sight) for sight in sights]
        points: dict[int, Tensor] = {}
        presence: dict[int, Tensor] = {}

        def look(indices: list[int], squares: Tensor) -> None:
            found = self.worker.components.landmarks(frames[indices], FaceRegions(squares.to(rgb)))
            places, sure = found.points.float().cpu(), found.presence.float().cpu()  # at once: each copy from a GPU waits for it
            for row, index in enumerate(indices):
                if sure[row] >= MIN_PRESENCE:
                    points[index], presence[index] = places[row : row + 1], sure[row : row + 1]

        taken = {i: int((detections.image == i).nonzero()[c.row]) for i, c in enumerate(choices) if c.row is not None}
        if taken:
            look(list(taken), region_of_detection(detections.points[list(taken.values())]))
        for i, (choice, sight) in enumerate(zip(choices, sights, strict=True)):
            if choice.cut:
                self.previous = None
            if i not in points and self.previous is not None and not (choice.row is None and _in_the_way(sight, self.previous)):
                look([i], _region(self.previous))  # the detector missed it: look where it was
                if i in points and not _alike(points[i], self.previous):
                    del points[i]
            self.previous = points.get(i)
        found = [i in points for i in range(len(frames))]
        if not points:
            return Seen(None, found, choices)
        self.seen = True
        here = sorted(points)
        rows = torch.cat([points[i] for i in here])  # (n, P, 3)
        yes = torch.ones(len(rows), dtype=torch.bool)
        crops = upright_square(rows, self.face.crop_ratio)
        numbers = [torch.tensor([getattr(choices[i], name) for i in here], dtype=torch.long) for name in ("shot", "person")]
        return Seen(FaceTrack(yes, yes, rows, torch.cat([presence[i] for i in here]), crops, *numbers), found, choices)


def upright_square(points: Tensor, ratio: float) -> Tensor:
    """Upright squares (N, 4) around landmarks (N, P, 3) of any kind: the landmarks' height is ``ratio`` of the side."""
    low, high = points[..., :2].amin(dim=1), points[..., :2].amax(dim=1)
    side = (high - low)[:, 1:] / ratio
    return torch.cat([(low + high) / 2, side, torch.zeros_like(side)], dim=1)


def _region(points: Tensor) -> Tensor:
    """Where to look for a face that had these landmarks one frame before; level with the eyes for face-mesh points."""
    mesh = points.shape[1] in MESHES
    return square_of_landmarks(points, REGION_RATIO) if mesh else upright_square(points, REGION_RATIO)


def _in_the_way(sight: FrameSight, points: Tensor) -> bool:
    """Whether a face that was not chosen lies where landmarks (1, P, 3) were: somebody else's."""
    low, high = points[0, :, :2].amin(0), points[0, :, :2].amax(0)
    middle = (sight.boxes[:, :2] + sight.boxes[:, 2:]) / 2
    return bool(((middle > low) & (middle < high)).all(1).any())


def _alike(points: Tensor, previous: Tensor) -> bool:
    """Whether landmarks (1, P, 3) can be the same face one frame later: of like size, not far away."""
    height = [float(p[..., 1].max() - p[..., 1].min()) for p in (points, previous)]
    moved = float((points[..., :2].mean(1) - previous[..., :2].mean(1)).norm())
    return 0.6 < height[0] / max(height[1], 1e-6) < 1.6 and moved < 0.6 * height[1]
