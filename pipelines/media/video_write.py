"""Video output by PyAV: exact timestamps, sound in step, written aside and renamed when complete."""

from __future__ import annotations

import contextlib
import io
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
from torch import Tensor

from mmfa_components.errors import ConfigError, OutputError, did_you_mean
from pipelines.media.audio import Sound
from pipelines.media.opening import open_output
from pipelines.media.partial import make_folder, output_error, partial_name, seal_and_publish
from pipelines.media.segments import (
    BITEXACT,
    SEGMENT,
    Coding,
    Picture,
    Segment,
    SegmentEncoder,
    frames_of,
    set_colours,
)
from pipelines.media.tags import tag
from pipelines.remote import upload

THREADS = 2  # of encoders that are not joined; fixed: their bytes depend on it
OFFERED = ("lib", "h26", "hevc", "mpeg", "ffv1", "prores", "vp", "av1", "mjpeg")


def check_codec(name: str) -> None:
    """Raise ConfigError with a did-you-mean when PyAV has no video encoder of that name."""
    try:
        if av.Codec(name, "w").type == "video":
            return
    except ValueError:
        pass
    known = {n for n in av.codecs_available if n.startswith(OFFERED)}
    what = f"no video encoder is called {name!r}"
    raise ConfigError(what, where="output.codec", fix=did_you_mean(name, known))


class VideoWriter:
    """Writes a video to ``path``; use it as a context manager.

    The file appears under its name only when all went well. Frames are handed over with
    :meth:`write`, or encoded elsewhere in segments of SEGMENT frames with :meth:`join`; the bytes
    are the same.

    width, height: of the frames; odd ones are padded by repeating the last column or row, since the
    format needs even sizes.  time_base: unit of the timestamps.  rate: nominal frames per second.
    quality: constant rate factor.  audio_from: file whose sound is carried over, copied where the
    container takes its codec, else encoded as AAC or Opus; it ends with the picture.  warnings:
    after closing, what of the sound could not be carried.  metadata: notes stored as JSON in the
    comment tag.  seal: is handed the finished file before it gets its name, to sign it.

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
        self.coding = Coding(codec, quality, width, height, self.time_base, self.rate)
        self.audio_from, self.metadata = audio_from, dict(metadata or {})
        self.partial, self.seal = partial_name(self.path), seal
        self.first: int | None = None
        self.last = 0
        self.warnings: list[str] = []
        self._sound: Sound | None = None
        self._whole: Picture | None = None  # of an encoder whose packets cannot be joined
        self._encoder: SegmentEncoder | None = None
        self._held: Segment | None = None  # its last frame ends where the next segment begins
        self._packets: _Packets | None = None

    def __enter__(self) -> VideoWriter:
        make_folder(self.path.parent)
        options: dict[str, str] = {}
        if self.path.suffix.lower() in (".mp4", ".mov", ".m4v"):
            scale = str(self._timescale())
            options = {"movflags": "+faststart", "video_track_timescale": scale}
        elif self.path.suffix.lower() == ".webp":
            options = {"loop": "0"}  # for ever, as a GIF does by itself
        try:
            self._out = open_output(self.partial, options)
        except ValueError as error:
            what = f"no container is known for {self.path.suffix!r}"
            fix = "use .mp4, .mkv or .mov"
            raise OutputError(what, where=str(self.path), fix=fix) from error
        except OSError as error:
            raise output_error(error, self.path) from error
        self._out.flags |= BITEXACT
        if self.metadata:
            self._out.metadata["comment"] = json.dumps(self.metadata, sort_keys=True)
        if self.coding.joining is None:
            self._whole = Picture(self._out, self.coding, THREADS)
            self._add_sound()
        return self

    def _add_sound(self) -> None:
        """The sound's stream comes after the picture's."""
        if self.audio_from is not None:
            self._sound = Sound(self.audio_from, self._out)

    def _timescale(self) -> int:
        scale = self.time_base.denominator
        while scale < 1000:  # coarse units leave no room for the sound's start
            scale *= 10
        return scale

    def write(self, rgb: Tensor, pts: Sequence[int]) -> None:
        """Append frames (n, H, W, 3) uint8 with their timestamps, which must rise. Raises OutputError."""
        with self._output_errors():
            if self._whole is not None:
                self._write_whole(self._whole, rgb, pts)
                return
            while len(pts):
                self._encoder = self._encoder or SegmentEncoder(self.coding)
                room = SEGMENT - len(self._encoder)
                self._encoder.add(rgb[:room], pts[:room])
                rgb, pts = rgb[room:], pts[room:]
                if len(self._encoder) == SEGMENT:
                    self._end_segment()

    def join(self, segment: Segment) -> None:
        """Append frames that were encoded as ``coding.on_workers`` says. Raises OutputError."""
        with self._output_errors():
            if self._whole is not None:
                rows, columns = slice(self.coding.height), slice(self.coding.width)
                for frame, stamp in zip(frames_of(segment), segment.stamps, strict=True):
                    self._write_whole(self._whole, frame[None, rows, columns], [stamp])
                return
            held, self._held = self._held, segment
            if held is not None:
                self._mux(held, segment.stamps[0])

    def _end_segment(self) -> None:
        if self._encoder is not None:
            segment, self._encoder = self._encoder.finish(), None
            self.join(segment)

    def _write_whole(self, picture: Picture, rgb: Tensor, pts: Sequence[int]) -> None:
        for number, stamp in enumerate(pts):
            start = self._start(stamp)
            self._out.mux(picture.encode(rgb[number : number + 1], [stamp - start]))
            self.last = stamp
            self._sound_until((stamp - start) * self.time_base)

    def _start(self, stamp: int) -> int:
        """The film's first timestamp, which is ``stamp`` when there was none before."""
        if self.first is None:
            self.first = stamp
            if self._sound:
                self._sound.start(stamp * self.time_base)
        return self.first

    def _sound_until(self, time: Fraction) -> None:
        if self._sound:
            self._sound.write_until(time)

    def _mux(self, segment: Segment, until: int) -> None:
        """Write the packets of a segment whose last frame is shown until timestamp ``until``."""
        with av.open(io.BytesIO(segment.data)) as container:
            stream = container.streams.video[0]
            if self._packets is None:
                made = self._out.add_stream_from_template(stream, opaque=True)
                self._packets = _Packets(made, self.coding, stream)
                self._add_sound()
            start = self._start(segment.stamps[0])
            stamps = [stamp - start for stamp in segment.stamps]
            for packet in self._packets.timed(container, stamps, until - start, self.path):
                time = packet.pts * self.time_base  # muxing puts it into the container's units
                self._out.mux(packet)
                self._sound_until(time)
        self.last = segment.stamps[-1]

    @contextlib.contextmanager
    def _output_errors(self) -> Any:
        try:
            yield
        except OSError as error:
            raise output_error(error, self.path) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
                fix = "check that the driving clip has frames"
                raise OutputError("no frame was written", where=str(self.path), fix=fix)
            if self.metadata:
                tag(self.partial, json.dumps(self.metadata, sort_keys=True))
            seal_and_publish(self.partial, self.path, self.seal)
            upload(self.path, self.metadata)

    def _finish(self) -> None:
        try:
            with self._output_errors():
                self._end_segment()
                if self._held is not None:
                    self._mux(self._held, self._held.stamps[-1] + self.coding.step)
                if self.first is not None:
                    if self._whole is not None:
                        self._out.mux(self._whole.flush())
                    self._sound_until((self.last - self.first) * self.time_base + 1 / self.rate)
                self._out.close()
        except OutputError:
            self.partial.unlink(missing_ok=True)
            raise


class _Packets:
    """Gives the packets of joined segments the times of the film.

    stream: of the film, made like ``template``, the first segment's.
    """

    def __init__(self, stream: Any, coding: Coding, template: Any) -> None:
        assert coding.joining is not None
        self._stream, self._coding, self._delay = stream, coding, coding.joining.delay
        stream.time_base = coding.time_base
        stream.codec_context.framerate = coding.rate
        set_colours(stream.codec_context)
        self._header = bytes(template.codec_context.extradata or b"")
        # timestamps in rising order that are still to be a decoding time
        self._behind: deque[int] = deque()

    def timed(self, container: Any, stamps: Sequence[int], until: int, path: Path) -> list[Any]:
        """The packets of a segment in the order they are decoded.

        stamps: of its frames, from the film's first one.  until: where the last one ends.

        A packet's decoding time is the timestamp ``delay`` places before its own place, both in
        rising order. (An encoder's own ones run backwards where segments of uneven steps meet.)
        """
        stream = container.streams.video[0]
        if bytes(stream.codec_context.extradata or b"") != self._header:
            what = f"segments of {self._coding.codec} have different headers"
            fix = "use the same version of PyAV on all workers"
            raise OutputError(what, where=str(path), fix=fix)
        packets = [packet for packet in container.demux(stream) if packet.size]
        if len(packets) != len(stamps):
            what = f"{self._coding.codec} made {len(packets)} packets of {len(stamps)} frames"
            raise OutputError(what, where=str(path), fix="choose another output.codec")
        if not stamps[0]:
            ahead = range(self._delay, 0, -1)
            self._behind.extend(-number * self._coding.step for number in ahead)
        self._behind.extend(stamps)
        shown = sorted(range(len(packets)), key=lambda number: packets[number].pts)
        place = {number: rank for rank, number in enumerate(shown)}
        ends = [*stamps[1:], until]
        for number, packet in enumerate(packets):
            rank = place[number]
            packet.stream = self._stream
            packet.time_base = self._coding.time_base
            packet.pts, packet.duration = stamps[rank], ends[rank] - stamps[rank]
            packet.dts = self._behind.popleft()
            if packet.dts > packet.pts:
                what = f"{self._coding.codec} reorders frames farther than is known of it"
                raise OutputError(what, where=str(path), fix="choose another output.codec")
        return packets
