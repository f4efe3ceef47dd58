"""One source file to FaceFrames: follow the face, cut one stable square, estimate rotations; frozen perception runs once a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor

from cache import CacheKey, RecordCache
from mmfa_components.errors import MediaError, MMFAError, NoFaceError
from mmfa_components.kinds import RotationEstimator
from mmfa_components.records import FaceFrames, FaceTrack, Frames, Landmarks, Record
from mmfa_components.registry import load_registry
from pipelines.datasets.index import STORE, ClipEntry, Rejected
from pipelines.datasets.schema import DatasetPipeline, SourceFile
from pipelines.media import content_digest, probe, read_image
from pipelines.stages.components import build_described, build_finder, resolve_batch, resolve_device
from pipelines.stages.crop import crop_frames, crop_landmarks, face_boxes, stable_square
from pipelines.stages.encode import opaque
from pipelines.stages.frames import chunk_length
from pipelines.stages.track import TrackUnit, track_clip, track_still
from pipelines.stages.worker import Worker


class FilePreparer:
    """Prepares files in one process; holds the networks and the open store."""

    def __init__(self, pipeline: DatasetPipeline, device: str, tick: Callable[[int], None]) -> None:
        registry = load_registry()
        chosen = resolve_device(device)
        overrides = {name: Path(path) for name, path in pipeline.weights.items()}
        context = registry.context(chosen, torch.float32, overrides)
        finder, prints = build_finder(pipeline.face, registry, context)
        rotation, rotation_print = build_described(registry, context, "rotation_estimator", pipeline.rotation, "rotation")
        self.pipeline, self.rotation = pipeline, rotation
        self.needs = registry.spec("rotation_estimator", pipeline.rotation.name).needs
        self.prints: tuple[Mapping[str, Any], ...] = (*prints, rotation_print)
        self.worker = Worker(finder, resolve_batch(pipeline.engine.batch, chosen), tick)
        self.store = RecordCache(Path(pipeline.output.folder) / STORE, "use")

    def prepare(self, source: SourceFile) -> ClipEntry | Rejected:
        """Prepare one file, or take it from the store. Bad files and poor content become Rejected; nothing is raised for them."""
        try:
            key = self._key(source.path)
            stored = self.store.open(key)
            if stored is None:
                self._write(source.path, key)
                stored = self.store.open(key)
            if stored is None:
                return Rejected(source.name, "could not be read back from the store", failed=True)
            side = round(float(stored.read(0, 1).square[0, 2]), 1)
            return ClipEntry(source.name, source.identity, source.split, len(stored), side, key.digest)
        except NoFaceError as error:
            return Rejected(source.name, error.what)
        except _PoorError as poor:
            return Rejected(source.name, str(poor))
        except MMFAError as error:
            return Rejected(source.name, error.what, failed=True)

    def _key(self, path: Path) -> CacheKey:
        pipeline = self.pipeline
        face = {k: v for k, v in attrs.asdict(pipeline.face).items() if k in ("select", "max_gap", "crop_ratio", "min_score")}
        options = {"face": face, "crop": pipeline.crop, "keep": pipeline.keep}
        return CacheKey.of(FaceFrames, self.prints, options, content_digest(path), path.name)

    def _write(self, path: Path, key: CacheKey) -> None:
        info = probe(path)
        if info.kind == "image":
            rgb = opaque(read_image(path))
            track = track_still(self.worker, rgb, self.pipeline.face, path)
            square = self._square(track, rgb.shape[1], rgb.shape[0], path)
            parts: Iterator[FaceFrames] = iter([self._frames(rgb[None], track, square, torch.zeros(1, dtype=torch.int64))])
        else:
            unit = TrackUnit(path, self.pipeline.face, info.width, info.height)
            track = FaceTrack.concatenate([rows for step in track_clip(self.worker, unit) for rows in step.rows])
            square = self._square(track, info.width, info.height, path)
            kept = self._kept(track)
            if len(kept) < self.pipeline.keep.least_frames:
                raise _PoorError(f"only {len(kept)} frames show the face, {self.pipeline.keep.least_frames} are wanted")
            parts = self._spans(path, track, square, kept, info.width, info.height)
        with self.store.writer(key, FaceFrames) as writer:
            for part in parts:
                writer.append(part)

    def _kept(self, track: FaceTrack) -> Tensor:
        """Numbers of the frames to keep: seen, every ``stride``-th, at most ``most_frames`` evenly spread."""
        keep = self.pipeline.keep
        seen = track.found.nonzero()[:, 0]
        seen = seen[seen % keep.stride == 0]
        if keep.most_frames and len(seen) > keep.most_frames:
            seen = seen[torch.linspace(0, len(seen) - 1, keep.most_frames).round().long()]
        return seen

    def _square(self, track: FaceTrack, width: int, height: int, path: Path) -> Tensor:
        if not bool(track.found.any()):
            raise NoFaceError("no face was found", where=str(path))
        face = stable_square(face_boxes(track), self.pipeline.face.crop_ratio)
        if float(face[2]) < self.pipeline.keep.least_side:
            raise _PoorError(f"the face is small: its square has {float(face[2]):.0f} pixels, {self.pipeline.keep.least_side:g} are wanted")
        if self.pipeline.crop.mode == "face":
            return face
        if width != height:
            fix = 'use crop.mode = "face"'
            raise MediaError(f'is {width}x{height}, but crop.mode = "none" takes square pictures', where=str(path), fix=fix)
        return torch.tensor([width / 2, height / 2, float(width), 0.0])

    def _spans(self, path: Path, track: FaceTrack, square: Tensor, kept: Tensor, width: int, height: int) -> Iterator[FaceFrames]:
        wanted = torch.zeros(len(track), dtype=torch.bool)
        wanted[kept] = True
        at = 0
        for chunk in self.worker.frames.chunks(path, 0, len(track), chunk_length(self.pipeline.engine.span, width, height)):
            rows = torch.arange(at, at + len(chunk.rgb))[wanted[at : at + len(chunk.rgb)]]
            if len(rows):
                yield self._frames(chunk.rgb[rows - at], track[rows], square, rows)
            at += len(chunk.rgb)
            self.worker.done(0)

    @torch.inference_mode()
    def _frames(self, rgb: Tensor, track: FaceTrack, square: Tensor, index: Tensor) -> FaceFrames:
        """rgb (n, H, W, 3) uint8 of the track's n frames, all with a face, to crops and rotations."""
        side, device = self.pipeline.crop.side, self.worker.device
        crops = crop_frames(rgb, square, side, device)
        landmarks = crop_landmarks(track, square, side, device)
        estimator: RotationEstimator = self.rotation
        matrix = estimator(*[self._hand_over(need, crops, landmarks) for need in self.needs]).matrix
        small = crops.rgb.mul(255).round().to(torch.uint8).cpu()
        return FaceFrames(small, matrix.float().cpu(), landmarks.points.float().cpu(), square.expand(len(small), 4), index)

    @staticmethod
    def _hand_over(need: type[Record], crops: Frames, landmarks: Landmarks) -> Record:
        return need(landmarks.points, landmarks.presence) if issubclass(need, Landmarks) else crops


class _PoorError(Exception):
    """A file that can be read, but whose content is not good enough; the text says why."""
