"""The sound of a clip carried over to a result, in step with the picture. No fault of it ever fails the picture."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from av.stream import Disposition

from mmfa_components.errors import MMFAError
from pipelines.media.damage import JOINED
from pipelines.media.opening import open_container, picture_stream

COPIED = {"aac", "ac3", "eac3", "alac", "opus"}
"""Sound that is carried over as it is, where the container takes it."""
ENCODERS = ("aac", "libopus")
"""What other sound is encoded with: the first that the container takes."""
AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
TRIED = 8
"""Packets a copy is tried with."""
LOOKED = 400
"""Packets among which one must be decodable."""
APART = Fraction(1, 25)
"""Seconds by which sound may lie beside its time before silence is put in, or some of it left out."""
FALLS = Fraction(1, 20)
"""Seconds by which the sound's fall there."""
FAULTS = (OSError, ValueError, TypeError, RuntimeError, MMFAError)
"""What PyAV raises for sound it cannot read, convert or write."""


class Sound:
    """The sound of one file, handed over packet by packet up to a given time, counted from the picture's first frame.

    notes: what could not be carried, in words; empty when all could.
    """

    def __init__(self, path: Path, out: Any) -> None:
        """Add a stream for the sound of ``path`` to the output ``out``; without one where there is no sound that can be carried."""
        self.notes: list[str] = []
        self._path, self._origin = path, Fraction(0)
        self._out = out
        self._to: Any = None
        self._in: Any = None
        self._packets: Iterator[Any] = iter(())
        self._next: Any = None
        self._skipped = 0
        try:
            self._in = open_container(path)
            self._open()
        except FAULTS as error:
            self._give_up(error)

    def _open(self) -> None:
        self._from = _best(self._in)
        if self._from is None:
            return
        taken = self._out.supported_codecs
        encoder = next((name for name in ENCODERS if name.removeprefix("lib") in taken), "")
        if not encoder:
            self.notes.append("files of this kind hold no sound, the result has none")
            return
        known = self._from.codec_context.codec.canonical_name in COPIED & taken
        copied = known and _can_be_copied(self._path, self._from.index, self._out.format.name)
        if not copied and not _can_be_decoded(self._path, self._from.index):
            self.notes.append("the sound cannot be decoded, the result has none")
            return
        if copied:
            self._to = self._out.add_stream_from_template(self._from)
            self._packets = self._copied()
        else:
            rate = _aac_rate(self._from.codec_context.sample_rate or 48000) if encoder == "aac" else 48000
            self._to = self._out.add_stream(encoder, rate=rate, layout="stereo")
            self._to.codec_context.flags |= Flags.bitexact
            self._packets = self._encoded()

    def start(self, origin: Fraction) -> None:
        """Time in seconds of the picture's first frame in the file's own clock."""
        self._origin = origin

    def write_until(self, time: Fraction) -> None:
        """Write what begins before ``time`` seconds. What cannot be written ends the sound, not the picture."""
        if self._to is None:
            return
        try:
            while True:
                self._next = self._next or next(self._packets, None)
                if self._next is None or self._next.pts * self._next.time_base >= time:
                    return
                packet, self._next = self._next, None
                packet.stream = self._to
                self._out.mux(packet)
        except FAULTS as error:
            self._give_up(error)

    def close(self) -> None:
        """Close the input, and note what was left out."""
        if self._skipped:
            self.notes.append(f"{self._skipped} damaged parts of the sound are left out; the rest is in step")
            self._skipped = 0
        if self._in is not None:
            self._in.close()
            self._in = None

    def _give_up(self, error: Exception) -> None:
        text = error.what if isinstance(error, MMFAError) else str(error) or type(error).__name__
        place = "the result has no sound" if self._to is None else "the sound ends early"
        self.notes.append(f"{place}: it cannot be carried over ({text})")
        self._packets, self._to = iter(()), None

    # ---- packets with the times of the result --------------------------------------------------
    def _copied(self) -> Iterator[Any]:
        last: int | None = None
        for packet, shift in self._demuxed():
            move = round((shift - self._origin) / packet.time_base)
            packet.pts += move
            packet.dts = packet.pts if packet.dts is None else packet.dts + move
            if packet.pts < 0 or (last is not None and packet.dts <= last):
                continue
            try:  # what no player could decode is left out
                self._from.codec_context.decode(packet)
            except FAULTS:
                self._skipped += 1
                continue
            last = packet.dts
            yield packet

    def _demuxed(self) -> Iterator[tuple[Any, Fraction]]:
        """Packets of the sound, and by how many seconds their clock is to be moved, as the picture's is."""
        clock = _Clock(picture_stream(self._in))
        streams = [s for s in (clock.stream, self._from) if s is not None]
        failed = 0
        while failed < TRIED:
            try:
                for packet in self._in.demux(streams):
                    failed = 0
                    if packet.stream_index != self._from.index:
                        clock.see(packet)
                    elif packet.size and packet.pts is not None:
                        yield packet, clock.shift_of(packet)
                return
            except (OSError, ValueError):
                failed += 1  # damaged sound is passed over; the picture goes on

    def _encoded(self) -> Iterator[Any]:
        encoder, rate = self._to.codec_context, self._to.codec_context.sample_rate
        for part in _laid_out(self._decoded(), rate):
            yield from encoder.encode(part)
        yield from encoder.encode(None)

    def _decoded(self) -> Iterator[tuple[Any, Fraction]]:
        """Decoded frames with their times in seconds from the picture's first frame."""
        for packet, shift in self._demuxed():
            try:
                frames = self._from.codec_context.decode(packet)
            except FAULTS:
                self._skipped += 1
                continue
            for frame in frames:
                if frame.pts is not None and frame.samples:
                    yield frame, frame.pts * Fraction(frame.time_base) + shift - self._origin


class _Clock:
    """The clock of the picture, which starts again where two recordings were joined: the sound's is moved as the picture's is."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self._step = Fraction(0) if stream is None else 1 / Fraction(stream.average_rate or stream.guessed_rate or 25)
        self._shifts = [Fraction(0)]  # of the picture, one more for every join
        self._end = self._decoded = Fraction(-1 << 30)  # of the picture up to here: moved; the last decoding time, unmoved
        self._joins = 0  # in the sound
        self._at, self._until = Fraction(-1 << 30), Fraction(0)  # of the sound up to here: unmoved begin, moved end
        self._own = Fraction(0)

    def see(self, packet: Any) -> None:
        """A packet of the picture."""
        if packet.pts is None or not packet.size:
            return
        at = packet.pts * Fraction(packet.time_base)
        decoded = at if packet.dts is None else packet.dts * Fraction(packet.time_base)
        if decoded <= self._decoded - JOINED * self._step:
            self._shifts.append(self._end - at)
        self._decoded = decoded
        self._end = max(self._end, at + self._shifts[-1] + self._step)

    def shift_of(self, packet: Any) -> Fraction:
        """By how many seconds a packet of the sound is to be moved."""
        at = packet.pts * Fraction(packet.time_base)
        if at < self._at - FALLS:
            self._joins += 1
            self._own = self._until - at  # until the picture has started again too, the sound goes on without a gap
        shift = self._shifts[self._joins] if self._joins < len(self._shifts) else self._own
        self._at, self._until = at, at + shift + (packet.duration or 0) * Fraction(packet.time_base)
        return shift


def _laid_out(frames: Iterator[tuple[Any, Fraction]], rate: int) -> Iterator[Any]:
    """Frames (float, stereo) at ``rate`` without gaps or overlaps, from the first sound at or after time 0 on."""
    resampler: Any = None
    form: tuple[Any, ...] | None = None
    at: int | None = None  # samples from time 0 to the end of what was laid out
    for frame, time in frames:
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != form:
            form, resampler = kind, av.AudioResampler(format="fltp", layout="stereo", rate=rate)
        frame.pts = None
        parts = [part.to_ndarray() for part in resampler.resample(frame)]
        data = np.concatenate(parts, 1) if parts else np.zeros((2, 0), np.float32)
        wanted = round(time * rate)
        if at is None:
            cut = max(0, -wanted)
            if cut >= data.shape[1]:
                continue
            data, at = data[:, cut:], max(0, wanted)
        elif wanted - at > APART * rate:
            silence = np.zeros((2, wanted - at), np.float32)
            yield _sound(silence, at, rate)
            at = wanted
        elif at - wanted > APART * rate:
            data = data[:, at - wanted :]
        if data.shape[1]:
            yield _sound(data, at, rate)
            at += data.shape[1]


def _sound(data: np.ndarray[Any, Any], at: int, rate: int) -> Any:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(data, np.float32), format="fltp", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
    return frame


def _aac_rate(rate: int) -> int:
    """The rate AAC has that is nearest to ``rate``, not below it where there is one."""
    return next((r for r in AAC_RATES if r >= rate), 48000)


def _best(container: Any) -> Any:
    """The sound that players play: the one flagged as default, else the first."""
    streams = container.streams.audio
    return next((s for s in streams if s.disposition & Disposition.default), streams[0] if streams else None)


def _can_be_decoded(path: Path, index: int) -> bool:
    """Whether some frame of the sound can be decoded."""
    with open_container(path) as container:
        stream = container.streams[index]
        for number, packet in enumerate(container.demux(stream)):
            try:
                if packet.size and stream.codec_context.decode(packet):
                    return True
            except FAULTS:
                continue
            if number > LOOKED:
                break
    return False


def _can_be_copied(path: Path, index: int, container: str) -> bool:
    """Whether a container of this name takes the first packets as they are, tried in memory."""
    try:
        with open_container(path) as opened, av.open(io.BytesIO(), "w", format=container) as out:
            stream = opened.streams[index]
            to = out.add_stream_from_template(stream)
            for number, packet in enumerate(opened.demux(stream)):
                if packet.pts is None or not packet.size:
                    continue
                packet.stream = to
                out.mux(packet)
                if number >= TRIED:
                    break
    except FAULTS:
        return False
    return True
