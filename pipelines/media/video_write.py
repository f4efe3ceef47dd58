"""Streaming video output by PyAV: exact timestamps, sound carried over in step, written aside and renamed when complete."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from torch import Tensor

from mmfa_components.errors import ConfigError, OutputError, did_you_mean
from pipelines.media.audio import Sound
from pipelines.media.opening import open_output
from pipelines.media.palette import FORMAT as PALETTE
from pipelines.media.palette import Palette
from pipelines.media.partial import make_folder, output_error, partial_name, seal_and_publish
from pipelines.media.tags import tag
from pipelines.remote import upload

LIMITED, BT709 = 1, 1
THREADS = 2  # fixed: the encoder's bytes depend on it
BITEXACT = 0x0400
WEBP = "bgra"  # libwebp turns it into its own kind of YUV


def check_codec(name: str) -> None:
    """Raise ConfigError with a did-you-mean when PyAV has no video encoder of that name."""
    try:
        if av.Codec(name, "w").type == "video":
            return
    except ValueError:
        pass
    known = {n for n in av.codecs_available if n.startswith(("lib", "h26", "hevc", "mpeg", "ffv1", "prores", "vp", "av1", "mjpeg"))}
    raise ConfigError(f"no video encoder is called {name!r}", where="output.codec", fix=did_you_mean(name, known))


class VideoWriter:
    """Writes frames to ``path``; use it as a context manager. The file appears under its name only when all went well.

    width, height: of the frames; odd ones are padded by repeating the last column or row, since the format needs even sizes.
    time_base: unit of the timestamps given to :meth:`write`.  rate: nominal frames per second.  quality: constant rate factor.
    audio_from: file whose sound is carried over, copied where the container takes its codec, else encoded as AAC or Opus; it ends with the
    picture.  warnings: after closing, what of the sound could not be carried.
    metadata: notes stored as JSON in the comment tag.  seal: is handed the finished file before it gets its name, to sign it.

    Raises OutputError when the file cannot be written, ConfigError for an unknown codec.
    """

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        time_base: Fraction,
        rate: Fraction,
        codec: str = "libx264",
        quality: int = 18,
        audio_from: Path | None = None,
        metadata: Mapping[str, str] | None = None,
        seal: Callable[[Path], None] | None = None,
    ) -> None:
        check_codec(codec)
        self.path, self.time_base, self.rate = Path(path), Fraction(time_base), Fraction(rate or 25)
        self.size, self.codec, self.quality = (width, height), codec, quality
        self.audio_from, self.metadata = audio_from, dict(metadata or {})
        self.partial, self.seal = partial_name(self.path), seal
        self.first: int | None = None
        self.last = 0
        self._sound: Sound | None = None
        self.warnings: list[str] = []
        self._convert = VideoReformatter()
        self._palette: Palette | None = None

    def __enter__(self) -> VideoWriter:
        make_folder(self.path.parent)
        try:
            options = {"movflags": "+faststart", "video_track_timescale": str(self._timescale())} if self._is_mp4() else {}
            if self.path.suffix.lower() == ".webp":
                options = {"loop": "0"}  # for ever, as a GIF does by itself
            self._out = open_output(self.partial, options)
        except ValueError as error:
            raise OutputError(f"no container is known for {self.path.suffix!r}", where=str(self.path), fix="use .mp4, .mkv or .mov") from error
        except OSError as error:
            raise output_error(error, self.path) from error
        self._out.flags |= BITEXACT
        if self.metadata:
            self._out.metadata["comment"] = json.dumps(self.metadata, sort_keys=True)
        width, height = self.size
        stream: Any = self._out.add_stream(self.codec, rate=self.rate)
        stream.width, stream.height = width + width % 2, height + height % 2
        context = stream.codec_context
        formats = [f.name for f in context.codec.video_formats or ()]
        wanted = {"gif": PALETTE, "libwebp": WEBP, "libwebp_anim": WEBP}.get(self.codec, "yuv420p")
        stream.pix_fmt = wanted if not formats or wanted in formats else formats[0]
        context.time_base = stream.time_base = self.time_base
        context.thread_count = THREADS
        context.flags |= Flags.bitexact
        if self.codec == "gif":
            self._palette = Palette(stream.width, stream.height, self.time_base)
        elif stream.pix_fmt != WEBP:
            context.color_range, context.colorspace, context.color_primaries, context.color_trc = LIMITED, BT709, BT709, BT709
        stream.options = {"crf": str(self.quality), **({"preset": "medium"} if self.codec in ("libx264", "libx265") else {})}
        if self.codec.startswith("libwebp"):
            stream.options = {"quality": f"{100 - 1.4 * self.quality:.0f}"}
        if self.codec == "libx264":  # with macroblock trees the same frames give other bytes now and then
            stream.options = {**stream.options, "x264-params": "mbtree=0"}
        self._stream = stream
        if self.audio_from is not None:
            self._sound = Sound(self.audio_from, self._out)
        return self

    def _is_mp4(self) -> bool:
        return self.path.suffix.lower() in (".mp4", ".mov", ".m4v")

    def _timescale(self) -> int:
        scale = self.time_base.denominator
        while scale < 1000:  # coarse units leave no room for the sound's start
            scale *= 10
        return scale

    def write(self, rgb: Tensor, pts: Sequence[int]) -> None:
        """Append frames (n, H, W, 3) uint8 with their timestamps, which must rise. Raises OutputError."""
        array = rgb.detach().cpu().numpy()
        width, height = self.size
        array = np.pad(array, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge") if width % 2 or height % 2 else array
        try:
            for image, stamp in zip(array, pts, strict=True):
                if self.first is None:
                    self.first = stamp
                    if self._sound:
                        self._sound.start(stamp * self.time_base)
                self.last = stamp
                self._out.mux(self._stream.encode(self._frame(image, stamp - self.first)))
                if self._sound:
                    self._sound.write_until((stamp - self.first) * self.time_base)
        except OSError as error:
            raise output_error(error, self.path) from error

    def _frame(self, image: np.ndarray[Any, Any], stamp: int) -> Any:
        """A frame as the encoder takes it."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts, frame.time_base = stamp, self.time_base
        if self._palette is not None:
            return self._palette(frame)
        if self._stream.pix_fmt == WEBP:
            return frame.reformat(format=WEBP)
        frame = self._convert.reformat(  # one thread: see upright_rgb
            frame, threads=1, format=self._stream.pix_fmt, src_colorspace=Colorspace.ITU709, dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG, dst_color_range=ColorRange.MPEG,
        )  # fmt: skip
        frame.pts, frame.time_base = stamp, self.time_base
        frame.colorspace, frame.color_range = BT709, LIMITED
        return frame

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            with contextlib.suppress(OSError, ValueError):
                self._out.close()
            if self._sound:
                self._sound.close()
                self.warnings += self._sound.notes
            if kind is not None or error is not None:
                self.partial.unlink(missing_ok=True)
        if kind is None:
            if self.first is None:
                self.partial.unlink(missing_ok=True)
                raise OutputError("no frame was written", where=str(self.path), fix="check that the driving clip has frames")
            if self.metadata:
                tag(self.partial, json.dumps(self.metadata, sort_keys=True))
            seal_and_publish(self.partial, self.path, self.seal)
            upload(self.path, self.metadata)

    def _finish(self) -> None:
        try:
            if self.first is not None:
                self._out.mux(self._stream.encode(None))
                if self._sound:
                    end = (self.last - self.first) * self.time_base + 1 / self.rate
                    self._sound.write_until(end)
            self._out.close()
        except OSError as error:
            self.partial.unlink(missing_ok=True)
            raise output_error(error, self.path) from error
