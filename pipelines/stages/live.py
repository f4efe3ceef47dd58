"""Stage live: the motion of frames as they come, with nothing known of those to come."""

from __future__ import annotations

from pathlib import Path

import attrs
import torch
from torch import Tensor

from mmfa_components.geometry.one_euro import OneEuro
from mmfa_components.geometry.placing import placed
from mmfa_components.records import FaceTrack, Motion, Record
from pipelines.config.schema import Face
from pipelines.stages.crop import MARGIN, crop_frames, crop_landmarks, face_boxes, stable_square
from pipelines.stages.decompose import plain
from pipelines.stages.frames import to_float
from pipelines.stages.track import FaceTracker
from pipelines.stages.worker import Worker

CAMERA = Path("camera")
"""What errors call the place that frames come from."""
SAME_SIZE = 1.25
"""How much larger or smaller the face may become before its square is made anew."""


@attrs.define(eq=False)
class LiveState:
    """One face that is followed live.

    The square it is seen through stays where it was put at the first frame, so that the motion does
    not jitter with it. It slides along when the face would leave it, and is made anew when the face
    becomes much larger or smaller. The motion of a head is told in the units of the first square all
    the same.
    """

    tracker: FaceTracker
    ratio: float
    steady: OneEuro[Record]
    square: Tensor | None = None  # (4,)
    base: Tensor | None = None  # (4,), the first one

    def see(self, box: Tensor) -> Tensor:
        """The square (4,) for a face box (4,) in the next frame."""
        wanted = stable_square(box[None], self.ratio)
        if self.square is None or self.base is None:
            self.square = self.base = wanted
        elif not 1 / SAME_SIZE < float(wanted[2] / self.square[2]) < SAME_SIZE:
            self.square = wanted
        else:
            reach = self.square[2] * (0.5 - MARGIN)
            centre = torch.minimum(torch.maximum(self.square[:2], box[2:] - reach), box[:2] + reach)
            self.square = torch.cat([centre, self.square[2:]])
        return self.square


@attrs.frozen(eq=False)
class LiveUnit:
    """The next frame (H, W, 3) uint8, seen at ``seconds`` on a clock that rises."""

    state: LiveState
    rgb: Tensor
    seconds: float


def live_state(worker: Worker, face: Face, steady: OneEuro[Record]) -> LiveState:
    """The state before the first frame."""
    tracker = FaceTracker(worker, face, str(CAMERA), start_score=(1 + face.min_score) / 2)
    return LiveState(tracker, face.crop_ratio, steady)


def live_motion(worker: Worker, unit: LiveUnit) -> Record | None:
    """The steadied motion (N = 1) of the frame, on the CPU; None where no face is seen."""
    state, animator = unit.state, worker.animator
    track = _look(state.tracker, unit.rgb, worker.device)
    if track is None:
        return None
    square = state.see(face_boxes(track)[0])
    assert state.base is not None
    crops = crop_frames(unit.rgb[None], square, animator.crop_size, worker.device)
    landmarks = crop_landmarks(track, square, animator.crop_size, worker.device)
    motion = plain(animator.decompose(crops, landmarks), worker.motion)
    if isinstance(motion, Motion):
        motion = placed(motion, square[None], state.base[None])
    return state.steady.step(motion, unit.seconds)


def _look(tracker: FaceTracker, rgb: Tensor, device: torch.device) -> FaceTrack | None:
    return tracker.faces(to_float(rgb[None], device)).rows
