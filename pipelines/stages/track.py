"""Stage track: follow one face through a clip, bridge short gaps, mark what was lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs
import torch
from torch import Tensor

from mmfa_components.errors import NoFaceError
from mmfa_components.geometry.squares import region_of_detection, square_of_landmarks
from mmfa_components.geometry.track import GapFiller
from mmfa_components.records import FaceDetections, FaceRegions, FaceTrack, Frames
from pipelines.config.schema import Face
from pipelines.stages.frames import Chunk, chunk_length, to_float
from pipelines.stages.worker import Stopwatch, Worker

MIN_PRESENCE = 0.5
FOLLOWED_AT_ONCE = 32
"""Frames, on a GPU: detector and landmark network take it some 20 ms a call, whether for 8 frames or for 24 (docs/ray.md)."""
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
    filler: GapFiller[FaceTrack] = GapFiller(unit.face.max_gap, mark=_mark)
    at_once = worker.batch if worker.device.type == "cpu" else max(worker.batch, FOLLOWED_AT_ONCE)
    chunks = worker.frames.chunks(unit.path, 0, None, chunk_length(at_once, unit.width, unit.height))
    while True:
        watch = Stopwatch()
        with watch.stage("track"):  # decoding included
            if (chunk := next(chunks, None)) is None:
                break
            rows = tuple(tracker.step(chunk, filler))
        yield TrackStep(rows, chunk.pts, watch.seconds)
        worker.done(len(chunk.pts))
    if not tracker.seen:
        raise no_face(unit.path, "video")
    yield TrackStep(tuple(filler.finish()), (), damage=worker.frames.damage(unit.path))


def track_still(worker: Worker, rgb: Tensor, face: Face, path: Path) -> FaceTrack:
    """The face of one image (H, W, 3) uint8 as a track of one frame. Raises NoFaceError when there is none."""
    tracker = FaceTracker(worker, face, str(path), start_score=face.min_score)
    rows, _ = tracker.faces(to_float(rgb[None], worker.device))
    if rows is None:
        raise no_face(path, "image")
    return rows


def no_face(path: Path, kind: str) -> NoFaceError:
    """The error for a file without a face."""
    fix = "use one that shows a face, larger or more frontal, or lower face.min_score"
    return NoFaceError(f"no face was found in this {kind}", where=str(path), fix=fix)


def _mark(rows: FaceTrack, bridged: bool) -> FaceTrack:
    return attrs.evolve(
        rows,
        found=torch.zeros_like(rows.found),
        usable=torch.full_like(rows.usable, bridged),
        presence=torch.zeros_like(rows.presence),
    )


class FaceTracker:
    """Finds the selected face in every chunk it is given, in order. The result does not depend on how the clip is cut up.

    A track starts, and starts anew after a long loss, on a detection of at least ``start_score``; it goes on with weaker ones.
    So lettering that passes for a face in a few frames starts none.
    """

    def __init__(self, worker: Worker, face: Face, where: str, start_score: float) -> None:
        self.worker, self.face, self.where, self.start_score = worker, face, where, start_score
        self.box: Tensor | None = None  # (4,) of the last detection that was taken
        self.gap = 0  # frames since then
        self.previous: Tensor | None = None  # (1, P, 3), landmarks of the frame before, None when it had none
        self.frame = 0
        self.seen = False  # True once a face was found

    def step(self, chunk: Chunk, filler: GapFiller[FaceTrack]) -> Iterator[FaceTrack]:
        """Take the next frames, and yield the rows of the track that are now known."""
        rows, found = self.faces(to_float(chunk.rgb, self.worker.device))
        if rows is None:
            filler.skip(len(found))
        else:
            yield from filler.push(rows, found)

    def faces(self, rgb: Tensor) -> tuple[FaceTrack | None, list[bool]]:
        """Faces of the next frames (n, 3, H, W): rows of the frames that have one (None: no row), and a flag a frame."""
        frames = Frames(rgb)
        detections = self.worker.components.detector(frames).to("cpu")
        taken = [self._choose(detections, i) for i in range(len(frames))]
        points: dict[int, Tensor] = {}
        presence: dict[int, Tensor] = {}

        def look(indices: list[int], squares: Tensor) -> None:
            found = self.worker.components.landmarks(frames[indices], FaceRegions(squares.to(rgb)))
            places, sure = found.points.float().cpu(), found.presence.float().cpu()  # at once: each copy from a GPU waits for it
            for row, index in enumerate(indices):
                if sure[row] >= MIN_PRESENCE:
                    points[index], presence[index] = places[row : row + 1], sure[row : row + 1]

        seen = [i for i, row in enumerate(taken) if row is not None]
        if seen:
            look(seen, region_of_detection(detections.points[[row for row in taken if row is not None]]))
        for i in range(len(frames)):
            if i not in points and self.previous is not None:  # the detector missed it: look where it was
                look([i], _region(self.previous))
                if i in points and not _alike(points[i], self.previous):
                    del points[i]
            self.previous = points.get(i)
        found = [i in points for i in range(len(frames))]
        self.frame += len(frames)
        if not points:
            return None, found
        rows = torch.cat([points[i] for i in sorted(points)])  # (n, P, 3)
        self.seen = True
        yes = torch.ones(len(rows), dtype=torch.bool)
        crops = upright_square(rows, self.face.crop_ratio)
        return FaceTrack(yes, yes, rows, torch.cat([presence[i] for i in sorted(points)]), crops), found

    def _choose(self, detections: FaceDetections, index: int) -> int | None:
        """The row of the selected face in frame ``index`` of this chunk, None when it is not there."""
        good = (detections.image == index) & (detections.scores >= self.face.min_score)
        rows = good.nonzero().flatten()
        if len(rows) == 0:
            self.gap += 1
            return None
        boxes, sure = detections.boxes[rows], detections.scores[rows] >= self.start_score
        best: int | None
        if self.box is None:
            best = self._select(boxes, self.frame + index) if bool(sure.any()) else None
        else:
            best = _nearest(boxes, self.box, self.gap)
            if self.gap > self.face.max_gap and (best is None or not sure[best]):  # gone for long: start anew
                best = int((_area(boxes) * sure).argmax()) if bool(sure.any()) else None
        if best is None:
            self.gap += 1
            return None
        self.box, self.gap = boxes[best], 0
        return int(rows[best])

    def _select(self, boxes: Tensor, frame: int) -> int:
        """The face the user selected, in the first frame that shows any. An only face is taken whatever the index."""
        if self.face.select == "largest" or len(boxes) == 1:
            return int(_area(boxes).argmax())
        index = int(self.face.select)
        order = boxes[:, [0, 2]].mean(dim=1).argsort()
        if not 0 <= index < len(boxes):
            what = f"face {index} was asked for, but frame {frame} shows {len(boxes)} faces"
            fix = f'set face.select to 0 (leftmost) to {len(boxes) - 1}, or "largest"'
            raise NoFaceError(what, where=self.where, fix=fix)
        return int(order[index])


def upright_square(points: Tensor, ratio: float) -> Tensor:
    """Upright squares (N, 4) around landmarks (N, P, 3) of any kind: the landmarks' height is ``ratio`` of the side."""
    low, high = points[..., :2].amin(dim=1), points[..., :2].amax(dim=1)
    side = (high - low)[:, 1:] / ratio
    return torch.cat([(low + high) / 2, side, torch.zeros_like(side)], dim=1)


def _region(points: Tensor) -> Tensor:
    """Where to look for a face that had these landmarks one frame before; level with the eyes for face-mesh points."""
    mesh = points.shape[1] in MESHES
    return square_of_landmarks(points, REGION_RATIO) if mesh else upright_square(points, REGION_RATIO)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _nearest(boxes: Tensor, last: Tensor, gap: int) -> int | None:
    """The box that goes on from ``last`` (4,): near in place and size; farther away is allowed after a longer gap."""
    side = (last[2:] - last[:2]).max()
    centre = (last[:2] + last[2:]) / 2
    distance = ((boxes[:, :2] + boxes[:, 2:]) / 2 - centre).norm(dim=1) / side
    growth = ((boxes[:, 2:] - boxes[:, :2]).amax(dim=1) / side).log().abs()
    best = int((distance + growth).argmin())
    return best if distance[best] < 0.6 + 0.15 * gap and growth[best] < 1.0 else None


def _alike(points: Tensor, previous: Tensor) -> bool:
    """Whether landmarks (1, P, 3) can be the same face one frame later: of like size, not far away."""
    height = [float(p[..., 1].max() - p[..., 1].min()) for p in (points, previous)]
    moved = float((points[..., :2].mean(1) - previous[..., :2].mean(1)).norm())
    return 0.6 < height[0] / max(height[1], 1e-6) < 1.6 and moved < 0.6 * height[1]
