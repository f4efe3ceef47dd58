"""Stage encode: a portrait, or a span of a video used as source, to identity."""

from __future__ import annotations

from pathlib import Path

import attrs
import torch
from torch import Tensor

from mmfa_components.records import FaceTrack, Record
from pipelines.config.schema import Face
from pipelines.media import StillImage, read_image
from pipelines.stages.crop import crop_frames, crop_landmarks, face_boxes, stable_square
from pipelines.stages.decompose import plain
from pipelines.stages.framing import fit_square, made_up
from pipelines.stages.track import track_still
from pipelines.stages.worker import Stopwatch, Worker


@attrs.frozen(eq=False)
class StillUnit:
    """A portrait to encode: a picture, or one frame of a video, counted from 0.

    rgb: (H, W, 3) uint8, the picture itself where it is in memory; ``path`` then only names it.
    """

    path: Path
    face: Face
    frame: int | None = None
    rgb: Tensor | None = None


@attrs.frozen(eq=False)
class Portrait:
    """A portrait made ready: ``rgb`` (H, W, 3) uint8 with transparency over white, its face, crop square (4,), motion and identity.

    notes: what was decided about the picture, in words.
    """

    rgb: Tensor
    track: FaceTrack
    square: Tensor
    motion: Record
    identity: Record
    seconds: dict[str, float] = attrs.field(factory=dict)
    notes: tuple[str, ...] = ()


def encode_still(worker: Worker, unit: StillUnit) -> Portrait:
    """Find the face of a portrait, crop it, and encode it. Raises MediaError or NoFaceError."""
    animator, watch = worker.animator, Stopwatch()
    with watch.stage("decode"):
        notes = []
        if unit.rgb is not None:
            rgb = unit.rgb
        elif unit.frame is None:
            image = read_image(unit.path)
            rgb = opaque(image)
            if image.reduced > 1:
                notes.append(f"is read at 1/{image.reduced} of its size, {rgb.shape[1]} x {rgb.shape[0]} pixels")
        else:
            rgb = worker.frames.read(unit.path, unit.frame, unit.frame + 1)[0]
    with watch.stage("track"):
        track = track_still(worker, rgb, unit.face, unit.path)
        boxes = face_boxes(track)
        square = fit_square(stable_square(boxes, unit.face.crop_ratio), boxes[0], rgb.shape[1], rgb.shape[0])
        notes += made_up(square[None], rgb.shape[1], rgb.shape[0])
    with watch.stage("encode"):
        crops = crop_frames(rgb[None], square, animator.crop_size, worker.device, fill=True)
        landmarks = crop_landmarks(track, square, animator.crop_size, worker.device)
        motion = plain(animator.decompose(crops, landmarks), worker.motion)
        identity = animator.encode(crops, landmarks)
    return Portrait(rgb, track, square, motion, identity.to("cpu"), watch.seconds, tuple(f"{unit.path.name}: {n}" for n in notes))


def opaque(image: StillImage) -> Tensor:
    """The picture (H, W, 3) uint8 over white: videos have no transparency."""
    if image.alpha is None:
        return image.rgb
    alpha = image.alpha[..., None].float() / 255
    mixed: Tensor = image.rgb.float() * alpha + 255 * (1 - alpha)
    return mixed.round().to(torch.uint8)


@attrs.frozen(eq=False)
class FrameUnit:
    """One frame of a clip to encode as a portrait: its number, its row of the track, and its square (4,)."""

    path: Path
    frame: int
    track: FaceTrack
    square: Tensor


def encode_frame(worker: Worker, unit: FrameUnit) -> Record:
    """The identity seen in one frame of a clip, on the CPU. Raises MediaError."""
    rgb = worker.frames.read(unit.path, unit.frame, unit.frame + 1)
    identity: Record = encode_crops(worker, rgb, unit.track, unit.square)
    return identity.to("cpu")


def encode_crops(worker: Worker, rgb: Tensor, track: FaceTrack, squares: Tensor) -> Record:
    """Identities (n rows) seen in full frames (n, H, W, 3) uint8 with their rows of a track, on the worker's device.

    squares: (4,) for all frames, or (n, 4).
    """
    size = worker.animator.crop_size
    crops = crop_frames(rgb, squares, size, worker.device, fill=True)
    return worker.animator.encode(crops, crop_landmarks(track, squares, size, worker.device))
