"""The Python API: portraits and clips in, frames out, on the stages that pipelines run on."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Unpack, overload

import attrs
import torch
from rich.console import Console

from mmfa.jobs import held_batch, transfer_of
from mmfa.live import Live
from mmfa.pictures import FILES, Array, Driving, Options, Picture, digest_of, held_clip, pixels_of
from mmfa.portrait import Portrait, warn
from mmfa_components.errors import ConfigError
from mmfa_components.geometry.edit import Channel, MotionEdit, apply_edit
from mmfa_components.records import Record
from mmfa_components.registry import Registry
from pipelines.config.places import place
from pipelines.config.schema import Output, Pipeline, TransferMode
from pipelines.editing.latent_shift import LatentSpace, checked_space
from pipelines.editing.limits import turned_far
from pipelines.engines.in_process import InProcessEngine
from pipelines.media import content_digest
from pipelines.reports.run_report import InputReport
from pipelines.runs.batch import warnings_of
from pipelines.runs.clips import Clip, Preparation, input_report
from pipelines.runs.film import finished_frames
from pipelines.runs.progress import Progress
from pipelines.stages import encode
from pipelines.stages.render import RenderUnit
from pipelines.stages.store import Store
from pipelines.stages.worker import Stopwatch


class Predictor:
    """An animator in memory. :func:`load` makes one.

    It holds the networks, a thread to run them in, and a temporary folder; ``close`` or a ``with``
    block gives them back. One thread may use it at a time. What you should know about an input is
    told as a :class:`~mmfa.portrait.MMFAWarning`.
    """

    def __init__(self, pipeline: Pipeline, registry: Registry) -> None:
        self.pipeline, self.registry = pipeline, registry
        self._engine = InProcessEngine(pipeline, registry, lambda frames: None)
        self._store = Store(pipeline.cache, registry.records, warn)
        progress = Progress(Console(file=io.StringIO()), 1)
        self._preparation = Preparation(self._engine, self._store, progress, pipeline.engine.span)
        self._space: LatentSpace | None = None

    def __enter__(self) -> Predictor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop at the next batch, and give back what is held."""
        self._engine.close()
        self._store.close()

    @property
    def size(self) -> int:
        """Side of the squares that ``pose``, ``animate`` and ``live`` give, in pixels."""
        return self._engine.facts.crop_size

    @property
    def device(self) -> str:
        """Where it computes: "cpu", "cuda"."""
        return self._engine.facts.device

    def portrait(self, picture: Picture, *, face: int | Literal["largest"] = "largest") -> Portrait:
        """Find the face of a portrait and encode it; do this once for each portrait.

        Args:
            picture: a path, a PIL image, or an array (H, W, 3) or (H, W, 4) uint8, RGB;
                transparency is shown over white.
            face: "largest", or the number of the face, 0 is the leftmost.

        Raises:
            MediaError: the file cannot be read, or the array is no picture.
            NoFaceError: no face was found.

        Example:
            >>> me = predictor.portrait("{demo}/portraits/hiker.jpg")
            >>> me.picture.shape
            (562, 572, 3)
        """
        options = attrs.evolve(self.pipeline.face, select=face)
        if isinstance(picture, FILES):
            path = place(str(picture), Path())
            unit, digest = encode.StillUnit(path, options), content_digest(path)
        else:
            rgb = pixels_of(picture, "picture")
            digest = digest_of(rgb)
            path = Path(f"picture-{digest[:12]}")
            unit = encode.StillUnit(path, options, rgb=rgb)
        encoded = next(iter(self._engine.map(encode.encode_still, [unit])))
        for text in encoded.notes:
            warn(text)
        return Portrait(encoded, InputReport(str(path), "image", digest, frames=1), face)

    def pose(
        self,
        portrait: Portrait,
        *,
        yaw: float = 0.0,
        pitch: float = 0.0,
        roll: float = 0.0,
        x: float = 0.0,
        y: float = 0.0,
        scale: float = 0.0,
        latent: Mapping[int, float] | None = None,
        paste: bool = False,
        mark: bool = False,
    ) -> Array:
        """A portrait with the head turned, moved or resized, and its expression changed.

        With all at 0 it is rebuilt as it is.

        Args:
            portrait: from :meth:`portrait`.
            yaw, pitch, roll: degrees that are added: + turns the nose to the LEFT of the picture,
                looks UP, tilts CLOCKWISE.
            x, y: half sides of the crop that are added, + is RIGHT, DOWN.
            scale: share: 0.1 is a tenth larger.
            latent: standard deviations by the number of a unit of the expression's latent space
                (paper 3.3).
            paste: put the face back into the whole picture.
            mark: write "AI-generated" into a corner.

        Returns:
            (S, S, 3) uint8 with S = ``size``; with ``paste`` (H, W, 3) as the picture.

        Raises:
            ConfigError: the animator's motion is no head's, or there is no latent space or no such
                unit.

        Example:
            >>> predictor.pose(me, yaw=-15).shape
            (256, 256, 3)
        """
        kind, own = self._engine.facts.motion, portrait.encoded.motion
        if kind.edits != "head":
            what = f"the motion of animator {self.pipeline.animator.name!r} is not that of a head"
            raise ConfigError(
                what, where="pose", fix="use another animator: mmfa.load(animator=...)"
            )
        offsets = {"yaw": yaw, "pitch": pitch, "roll": roll, "x": x, "y": y}
        edit = MotionEdit(
            scale=Channel(offset=float(scale)),
            **{k: Channel("whole", offset=float(v)) for k, v in offsets.items()},
        )
        motion = apply_edit(own, edit, {}, torch.zeros(1), kind)
        if latent:
            shifts = {str(unit): float(amount) for unit, amount in latent.items()}
            if self._space is None:
                landmarks = self.pipeline.face.landmarks.name
                self._space = checked_space(landmarks, self.pipeline.weights, self.registry)
            motion = self._space.shift(motion, shifts, kind)
        for text in turned_far(motion, own):
            warn(f"{Path(portrait.report.path).name}: {text}")
        return next(
            self._shown(portrait, motion, Output(frame="paste" if paste else "crop", mark=mark))
        )

    @overload
    def animate(
        self, portrait: Portrait, driving: Driving, out: None = None, **options: Unpack[Options]
    ) -> Iterator[Array]: ...

    @overload
    def animate(
        self, portrait: Portrait, driving: Driving, out: str | Path, **options: Unpack[Options]
    ) -> Path: ...

    def animate(
        self,
        portrait: Portrait,
        driving: Driving,
        out: str | Path | None = None,
        *,
        rate: float = 25.0,
        pose: TransferMode = "relative",
        expression: TransferMode = "relative",
        amount: Mapping[str, float] | None = None,
        transfer: Mapping[str, TransferMode] | None = None,
        reference: int | Literal["auto"] = "auto",
        smooth: float = 0.0,
        paste: bool = False,
        mark: bool = False,
    ) -> Iterator[Array] | Path:
        """Move a portrait as the person in a clip moves.

        Args:
            portrait: from :meth:`portrait`.
            driving: path of a video or motion file, or frames: arrays (H, W, 3) uint8 or PIL images
                of one size, or one array (N, H, W, 3). Frames are held in memory until they were
                followed.
            out: video file to write (.mp4, .mov, .mkv, .webm, .gif, .webp); a result that is there
                and unchanged is kept.
            rate: frames per second, of frames.
            pose: "relative" to the portrait's own, "absolute" as in the clip, or "source", the
                portrait's own, unchanged.
            expression: the same for the expression.
            amount: multiple by field of the motion, such as {"expression": 1.3}.
            transfer: modes by field of the motion, over ``pose`` and ``expression``; for animators
                with other fields.
            reference: the clip's frame that relative motion counts from; "auto" finds the most
                neutral one.
            smooth: seconds over which the head's pose is steadied.
            paste: put the face back into the whole picture.
            mark: write "AI-generated" into a corner of every frame.

        Returns:
            Without ``out`` an iterator of frames (S, S, 3) uint8, with ``paste`` (H, W, 3); inputs
            are read at the call, frames are rendered as they are asked for. With ``out`` its path,
            when it is written.

        Raises:
            MediaError: an input cannot be read, or frames are no pictures.
            NoFaceError: no frame shows a face.
            ConfigError: an option that does not fit, ``out`` of an unknown kind.
            OutputError: ``out`` cannot be written, or is a file that MMFA has not made.

        Example:
            >>> [frame.shape for frame in predictor.animate(me, frames)]
            [(256, 256, 3), (256, 256, 3)]
            >>> predictor.animate(me, frames, out="me.gif").name
            'me.gif'
        """
        kind = self._engine.facts.motion
        carried = transfer_of(kind, pose, expression, transfer, amount, reference)
        pipeline = attrs.evolve(
            self.pipeline,
            transfer=carried,
            face=attrs.evolve(self.pipeline.face, smooth=float(smooth)),
            output=attrs.evolve(
                self.pipeline.output, frame="paste" if paste else "crop", mark=mark
            ),
        )
        clip = self._clip(driving, rate)
        to = None if out is None else Path(out).expanduser()
        parts = portrait.encoded, portrait.report, clip, to, portrait.face
        batch = held_batch(self._engine, self._preparation, pipeline, *parts)
        for text in warnings_of(clip):
            warn(text)
        if out is not None:
            return batch.write()
        return (frame.numpy() for frame in batch.frames())

    def live(
        self,
        portrait: Portrait,
        *,
        pose: TransferMode = "relative",
        expression: TransferMode = "relative",
        steady: float = 1.0,
        mirror: bool = False,
        paste: bool = False,
        mark: bool = False,
    ) -> Live:
        """Move a portrait frame by frame, as frames come from a camera; nothing looks ahead.

        Args:
            portrait: from :meth:`portrait`.
            pose, expression: as for :meth:`animate`; the neutral frame is the first with a face, or
                the one you capture.
            steady: how strongly jitter is held back; 0 is off, 2 twice as strongly.
            mirror: turn the frames over first, so that the portrait moves as in a mirror.
            paste, mark: as for :meth:`pose`.

        Raises:
            ConfigError: a mode that does not exist.

        Example:
            >>> live = predictor.live(me)
            >>> live.step(frames[0]).shape, live.found
            ((256, 256, 3), True)
        """
        kind = self._engine.facts.motion
        carried = transfer_of(kind, pose, expression)
        modes = {name: carried.mode(name) for name in kind.fields}
        output = Output(frame="paste" if paste else "crop", mark=mark)
        return Live(
            self._engine, self.pipeline.face, portrait.encoded, modes, output, steady, mirror
        )

    def _clip(self, driving: Driving, rate: float) -> Clip:
        face = attrs.evolve(self.pipeline.face, select="largest")
        if isinstance(driving, FILES):
            path = place(str(driving), Path())
            return self._preparation.clip(path, face, input_report(path, "video"))
        held = held_clip(driving, rate)
        report = InputReport(str(held.path), "video", held.digest)
        known = self._engine.worker.frames.held
        known[held.path] = held.rgb
        try:
            return self._preparation.followed(held.path, held.info, face, report)
        finally:
            del known[held.path]

    def _shown(self, portrait: Portrait, motion: Record, output: Output) -> Iterator[Array]:
        units = [RenderUnit(0, motion, portrait.encoded.motion, portrait.encoded.identity)]
        parts = finished_frames(self._engine, units, portrait.encoded, output, Stopwatch())
        return (frame.numpy() for part in parts for frame in part)
