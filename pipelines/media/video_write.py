"""Streaming video output by PyAV: exact timestamps, sound carried over in step, written aside and renamed when complete."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from torch import Tensor

from mmfa_components.errors import ConfigError, MMFAError, OutputError, did_you_mean
from pipelines.media.partial import make_folder, output_error, partial_name, seal_and_publish
from pipelines.remote import upload

LIMITED, BT709 = 1, 1
THREADS = 2  # fixed: the encoder's bytes depend on it
BITEXACT = 0x0400
COPIED = {"aac", "mp3", "ac3", "eac3", "alac", "opus"}  # sound an MP4 takes as it is


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
    audio_from: file whose sound is carried over, copied where MP4 takes its codec, else encoded as AAC; it ends with the picture.
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
        self._sound: _Sound | None = None
        self._convert = VideoReformatter()

    def __enter__(self) -> VideoWriter:
        make_folder(self.path.parent)
        try:
            options = {"movflags": "+faststart", "video_track_timescale": str(self._timescale())} if self._is_mp4() else {}
            self._out = av.open(str(self.partial), "w", options=options)
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
        stream.pix_fmt = "yuv420p" if not formats or "yuv420p" in formats else formats[0]
        context.time_base = stream.time_base = self.time_base
        context.thread_count = THREADS
        context.flags |= Flags.bitexact
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = LIMITED, BT709, BT709, BT709
        stream.options = {"crf": str(self.quality), **({"preset": "medium"} if self.codec in ("libx264", "libx265") else {})}
        if self.codec == "libx264":  # with macroblock trees the same frames give other bytes now and then
            stream.options = {**stream.options, "x264-params": "mbtree=0"}
        self._stream = stream
        if self.audio_from is not None:
            with contextlib.suppress(MMFAError):
                self._sound = _Sound(self.audio_from, self._out)
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
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
                frame = self._convert.reformat(  # one thread: see upright_rgb
                    frame, threads=1, format=self._stream.pix_fmt, src_colorspace=Colorspace.ITU709, dst_colorspace=Colorspace.ITU709,
                    src_color_range=ColorRange.JPEG, dst_color_range=ColorRange.MPEG,
                )  # fmt: skip
                frame.pts, frame.time_base = stamp - self.first, self.time_base
                frame.colorspace, frame.color_range = BT709, LIMITED
                self._out.mux(self._stream.encode(frame))
                if self._sound:
                    self._out.mux(list(self._sound.until((stamp - self.first) * self.time_base)))
        except OSError as error:
            raise output_error(error, self.path) from error

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            with contextlib.suppress(OSError, ValueError):
                self._out.close()
            if self._sound:
                self._sound.close()
            if kind is not None or error is not None:
                self.partial.unlink(missing_ok=True)
        if kind is None:
            if self.first is None:
                self.partial.unlink(missing_ok=True)
                raise OutputError("no frame was written", where=str(self.path), fix="check that the driving clip has frames")
            seal_and_publish(self.partial, self.path, self.seal)
            upload(self.path, self.metadata)

    def _finish(self) -> None:
        try:
            if self.first is not None:
                self._out.mux(self._stream.encode(None))
                if self._sound:
                    end = (self.last - self.first) * self.time_base + 1 / self.rate
                    self._out.mux(list(self._sound.until(end)))
            self._out.close()
        except OSError as error:
            self.partial.unlink(missing_ok=True)
            raise output_error(error, self.path) from error


class _Sound:
    """The sound of one file, handed over packet by packet up to a given time, counted from the picture's first frame."""

    def __init__(self, path: Path, out: Any) -> None:
        from pipelines.media.probe import open_container

        self._in = open_container(path)
        if not self._in.streams.audio:
            self._in.close()
            raise OutputError("holds no sound", where=str(path))
        self._from = self._in.streams.audio[0]
        self._copy = self._from.codec_context.name in COPIED
        if self._copy:
            self._to = out.add_stream_from_template(self._from)
        else:
            self._to = out.add_stream("aac", rate=self._from.codec_context.sample_rate or 48000)
            self._to.codec_context.flags |= Flags.bitexact
        self._origin = Fraction(0)
        self._packets = self._copied() if self._copy else self._encoded()
        self._next: Any = None

    def start(self, origin: Fraction) -> None:
        """Time in seconds of the picture's first frame in the file's own clock."""
        self._origin = origin

    def until(self, time: Fraction) -> Iterator[Any]:
        """Packets that start before ``time`` seconds."""
        while True:
            self._next = self._next or next(self._packets, None)
            if self._next is None or self._next.pts * self._next.time_base >= time:
                return
            packet, self._next = self._next, None
            packet.stream = self._to
            yield packet

    def _copied(self) -> Iterator[Any]:
        for packet in self._demuxed():
            shift = round(self._origin / packet.time_base)
            packet.pts -= shift
            packet.dts = packet.pts if packet.dts is None else packet.dts - shift
            if packet.pts >= 0:
                yield packet

    def _demuxed(self) -> Iterator[Any]:
        try:
            for packet in self._in.demux(self._from):
                if packet.pts is not None:
                    yield packet
        except (OSError, ValueError):
            return  # damaged sound ends early; the picture goes on

    def _encoded(self) -> Iterator[Any]:
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=self._to.codec_context.sample_rate)
        for packet in self._demuxed():
            for frame in packet.decode():
                for part in resampler.resample(frame):
                    if part.pts is not None and part.time_base:
                        part.pts -= round(self._origin / part.time_base)
                        if part.pts < 0:
                            continue
                    yield from self._to.encode(part)
        yield from self._to.encode(None)

    def close(self) -> None:
        """Close the input."""
        self._in.close()
