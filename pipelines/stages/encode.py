"""Stage encode: a portrait, or a span of a video used as source, to identity."""

from __future__ import annotations

from pathlib import Path

import attrs
import torch
from torch import Tensor

from mmfa_components.errors import RecordError
from mmfa_components.kinds import RegionalAnimator
from mmfa_components.records import FaceTrack, KeypointRegions, Landmarks, Motion, Record
from pipelines.config.schema import Face
from pipelines.media import StillImage, read_image
from pipelines.stages.crop import crop_frames, crop_landmarks, face_boxes, stable_square
from pipelines.stages.decompose import plain
from pipelines.stages.framing import fit_square, made_up
from pipelines.stages.track import track_still
from pipelines.stages.worker import Stopwatch, Worker


@attrs.frozen
class StillUnit:
    """A portrait to encode: a picture, or one frame of a video, counted from 0."""

    path: Path
    face: Face
    frame: int | None = None


@attrs.frozen(eq=False)
class Portrait:
    """A portrait made ready: ``rgb`` (H, W, 3) uint8 with transparency over white, its face, crop square (4,), motion and identity.

    regions: which keypoints belong to eyes and mouth; None when the animator or the landmarks know no regions.  notes: what was
    decided about the picture, in words.
    """

    rgb: Tensor
    track: FaceTrack
    square: Tensor
    motion: Motion
    identity: Record
    seconds: dict[str, float] = attrs.field(factory=dict)
    regions: KeypointRegions | None = None
    notes: tuple[str, ...] = ()


@attrs.frozen(eq=False)
class RegionsUnit:
    """One frame of a video used as source: its number, its row of the track, and its square (4,)."""

    path: Path
    frame: int
    track: FaceTrack
    square: Tensor


def encode_still(worker: Worker, unit: StillUnit) -> Portrait:
    """Find the face of a portrait, crop it, and encode it. Raises MediaError or NoFaceError."""
    animator, watch = worker.animator, Stopwatch()
    with watch.stage("decode"):
        notes = []
        if unit.frame is None:
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
        motion = plain(animator.decompose(crops, landmarks))
        identity = animator.encode(crops)
        regions = regions_of(worker, identity, motion, landmarks)
    return Portrait(rgb, track, square, motion, identity.to("cpu"), watch.seconds, regions, tuple(f"{unit.path.name}: {n}" for n in notes))


def find_regions(worker: Worker, unit: RegionsUnit) -> KeypointRegions | None:
    """Regions of a source video's keypoints, found on one frame; as in Portrait. Raises MediaError."""
    animator = worker.animator
    rgb = worker.frames.read(unit.path, unit.frame, unit.frame + 1)
    crops = crop_frames(rgb, unit.square, animator.crop_size, worker.device, fill=True)
    landmarks = crop_landmarks(unit.track, unit.square, animator.crop_size, worker.device)
    return regions_of(worker, animator.encode(crops), plain(animator.decompose(crops, landmarks)), landmarks)


def regions_of(worker: Worker, identity: Record, motion: Motion, landmarks: Landmarks) -> KeypointRegions | None:
    """Which keypoints of a portrait belong to eyes and mouth, on the CPU; None when the animator or the landmarks know no regions."""
    if not isinstance(worker.animator, RegionalAnimator):
        return None
    try:
        return worker.animator.regions(identity, motion.to(worker.device), landmarks).to("cpu")
    except RecordError:  # landmarks of another kind
        return None


def opaque(image: StillImage) -> Tensor:
    """The picture (H, W, 3) uint8 over white: videos have no transparency."""
    if image.alpha is None:
        return image.rgb
    alpha = image.alpha[..., None].float() / 255
    mixed: Tensor = image.rgb.float() * alpha + 255 * (1 - alpha)
    return mixed.round().to(torch.uint8)


@attrs.frozen(eq=False)
class FrameUnit:
    """One frame of a clip to encode as a portrait, cropped by a square (4,)."""

    path: Path
    frame: int
    square: Tensor


def encode_frame(worker: Worker, unit: FrameUnit) -> Record:
    """The identity seen in one frame of a clip, on the CPU. Raises MediaError."""
    rgb = worker.frames.read(unit.path, unit.frame, unit.frame + 1)
    identity: Record = worker.animator.encode(crop_frames(rgb, unit.square, worker.animator.crop_size, worker.device))
    return identity.to("cpu")
