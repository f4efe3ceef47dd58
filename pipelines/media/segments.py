"""Pieces of a video that are encoded apart, on any worker, and joined without being encoded again.

Each segment is a closed group of pictures of its own encoder with one thread, so its bytes depend on
nothing but its frames. What makes encoders join is in JOINED; frames for all others travel losslessly.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import attrs
import av
import numpy as np
import torch
from av.codec.context import Flags
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from torch import Tensor

from pipelines.media.palette import FORMAT as PALETTE
from pipelines.media.palette import Palette

SEGMENT = 128
"""Frames of a segment, the last one of a film apart. Part of every job's key: it decides the bytes."""
LIMITED, BT709 = 1, 1
BITEXACT = 0x0400
WEBP = "bgra"  # libwebp turns it into its own kind of YUV
LOSSLESS = "ffv1"
"""Carries RGB frames to the driver for encoders whose packets cannot be joined."""
RGB = "bgr0"  # as ffv1 stores it

os.environ.setdefault("SVT_LOG", "1")  # errors only: SVT-AV1 writes to stderr past FFmpeg's log


@attrs.frozen
class Joining:
    """How the packets of an encoder are joined.

    delay: frames by which packets are decoded ahead of the order they are shown in, at most.
    inside: container of a segment.  closed: the encoder is told to close its groups of pictures by
    FFmpeg's flag.  options: of the encoder, beside those of :func:`open_picture`.
    """

    delay: int = 0
    inside: str = "nut"
    closed: bool = True
    options: Mapping[str, str] = attrs.field(factory=dict)


X265 = "log-level=error:open-gop=0:pools=none:frame-threads=1"
JOINED: Mapping[str, Joining] = {
    # with macroblock trees the same frames give other bytes now and then
    "libx264": Joining(2, options={"x264-params": "mbtree=0"}),
    "libx265": Joining(2, options={"x265-params": X265}),
    "libsvtav1": Joining(options={"svtav1-params": "lp=1"}),
    "libvpx-vp9": Joining(),
    "mpeg4": Joining(closed=False),
    "ffv1": Joining(),
    "prores": Joining(inside="mov"),
    "prores_aw": Joining(inside="mov"),
    "prores_ks": Joining(inside="mov"),
}
"""By encoder. Every one of them has its test in tests/media/test_segments.py."""


@attrs.frozen
class Coding:
    """How the frames of a result are encoded: plain data that travels with units of work.

    codec: FFmpeg's name of the encoder.  quality: constant rate factor.  width, height: of the
    frames; odd ones are padded by repeating the last column or row.  time_base: unit of timestamps
    in seconds.  rate: nominal frames per second.  rgb: store RGB as it is (ffv1 only).
    """

    codec: str
    quality: int
    width: int
    height: int
    time_base: Fraction
    rate: Fraction
    rgb: bool = False

    @property
    def encoder(self) -> str:
        """The encoder behind ``codec``, which may be the name of a format, such as "h264"."""
        return str(av.Codec(self.codec, "w").name)

    @property
    def joining(self) -> Joining | None:
        """How packets of this encoder are joined; None where they cannot be."""
        return JOINED.get(self.encoder)

    @property
    def step(self) -> int:
        """Time from one frame to the next at the nominal rate, in units of ``time_base``."""
        return max(1, round(1 / (self.rate * self.time_base)))

    @property
    def on_workers(self) -> Coding:
        """What workers encode: this, or the frames as they are where packets cannot be joined."""
        return self if self.joining else attrs.evolve(self, codec=LOSSLESS, rgb=True)


@attrs.frozen(eq=False)
class Segment:
    """Encoded frames. data: a small container.  stamps: timestamps of the frames, rising, in the
    time base of the film."""

    data: bytes
    stamps: tuple[int, ...]


class Picture:
    """A stream of pictures that are encoded into a container that is being written.

    Raises what PyAV raises.
    """

    def __init__(self, out: Any, coding: Coding, threads: int) -> None:
        self.coding = coding
        stream: Any = out.add_stream(coding.codec, rate=coding.rate)
        stream.width = coding.width + coding.width % 2
        stream.height = coding.height + coding.height % 2
        context = stream.codec_context
        stream.pix_fmt = _pixels(coding, [f.name for f in context.codec.video_formats or ()])
        self._counted = coding.encoder == "mpeg4"  # its own clock is too coarse for most time bases
        context.time_base = 1 / coding.rate if self._counted else coding.time_base
        stream.time_base = context.time_base
        context.thread_count = threads
        context.flags |= Flags.bitexact
        if coding.joining is not None and coding.joining.closed:
            context.flags |= Flags.closed_gop
        if coding.encoder != "gif" and stream.pix_fmt not in (WEBP, RGB):
            set_colours(context)
        stream.options = _options(coding)
        self.stream, self._number = stream, 0
        self._convert = VideoReformatter()
        self._palette: Palette | None = None
        if coding.encoder == "gif":
            self._palette = Palette(stream.width, stream.height, coding.time_base)

    def encode(self, rgb: Tensor, stamps: Sequence[int]) -> list[Any]:
        """Packets that are ready after frames (n, H, W, 3) uint8 with these timestamps."""
        array, coding = rgb.detach().cpu().numpy(), self.coding
        if coding.width % 2 or coding.height % 2:
            pad = ((0, 0), (0, coding.height % 2), (0, coding.width % 2), (0, 0))
            array = np.pad(array, pad, mode="edge")
        packets: list[Any] = []
        for image, stamp in zip(array, stamps, strict=True):
            packets += self.stream.encode(self._frame(image, stamp))
        return packets

    def flush(self) -> list[Any]:
        """The packets that are left at the end."""
        return list(self.stream.encode(None))

    def _frame(self, image: np.ndarray[Any, Any], stamp: int) -> Any:
        """A frame as the encoder takes it."""
        base, self._number = self.coding.time_base, self._number + 1
        if self._counted:
            stamp, base = self._number - 1, 1 / self.coding.rate
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts, frame.time_base = stamp, base
        if self._palette is not None:
            return self._palette(frame)
        if self.stream.pix_fmt in (WEBP, RGB):
            plain = self._convert.reformat(frame, threads=1, format=self.stream.pix_fmt)
            plain.pts, plain.time_base = stamp, base
            return plain
        frame = self._convert.reformat(  # one thread: see upright_rgb
            frame, threads=1, format=self.stream.pix_fmt,
            src_colorspace=Colorspace.ITU709, dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG, dst_color_range=ColorRange.MPEG,
        )  # fmt: skip
        frame.pts, frame.time_base = stamp, base
        frame.colorspace, frame.color_range = BT709, LIMITED
        return frame


def set_colours(context: Any) -> None:
    """Say that the pictures of an encoder or stream are in BT.709, limited range."""
    context.color_range, context.colorspace = LIMITED, BT709
    context.color_primaries, context.color_trc = BT709, BT709


def _pixels(coding: Coding, formats: Sequence[str]) -> str:
    """The pixel format of an encoder that knows these."""
    own = {"gif": PALETTE, "libwebp": WEBP, "libwebp_anim": WEBP}
    wanted = RGB if coding.rgb else own.get(coding.encoder, "yuv420p")
    return wanted if not formats or wanted in formats else formats[0]


def _options(coding: Coding) -> dict[str, str]:
    """Options of the encoder: constant quality, whatever it calls that."""
    encoder, quality = coding.encoder, coding.quality
    if encoder.startswith("libwebp"):
        return {"quality": f"{100 - 1.4 * quality:.0f}"}
    if encoder == "mpeg4":  # has quantisers of 1 to 31, in units of lambda
        return {"flags": "+qscale", "global_quality": str(118 * max(1, round(quality / 6)))}
    options = {"crf": str(quality)}
    if encoder in ("libx264", "libx265"):
        options["preset"] = "medium"
    return {**options, **(coding.joining.options if coding.joining else {})}


class SegmentEncoder:
    """Encodes the frames of one segment, in memory. Raises what PyAV raises."""

    def __init__(self, coding: Coding) -> None:
        assert coding.joining is not None, f"segments of {coding.codec} cannot be joined"
        self._buffer = io.BytesIO()
        self._out = av.open(self._buffer, "w", format=coding.joining.inside)
        self._out.flags |= BITEXACT
        self._picture = Picture(self._out, coding, threads=1)
        self._stamps: list[int] = []

    def __len__(self) -> int:
        """Frames so far."""
        return len(self._stamps)

    def add(self, rgb: Tensor, stamps: Sequence[int]) -> None:
        """Take the next frames (n, H, W, 3) uint8 and their timestamps, which must rise."""
        self._stamps += stamps
        first = self._stamps[0] if self._stamps else 0
        for packet in self._picture.encode(rgb, [stamp - first for stamp in stamps]):
            self._out.mux(packet)

    def finish(self) -> Segment:
        """The segment of all frames."""
        for packet in self._picture.flush():
            self._out.mux(packet)
        self._out.close()
        return Segment(self._buffer.getvalue(), tuple(self._stamps))


def encoder_facts() -> dict[str, Any]:
    """What of the encoding decides the bytes of a result, beside the output table."""
    version = ".".join(str(number) for number in av.library_versions["libavcodec"])
    return {"segment": SEGMENT, "encoders": f"PyAV {av.__version__}, libavcodec {version}"}


def frames_of(segment: Segment) -> list[Tensor]:
    """Frames (H, W, 3) uint8 of a segment of ``Coding.on_workers`` that stores RGB."""
    opened: Any = av.open(io.BytesIO(segment.data))
    with opened as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return [torch.from_numpy(frame) for frame in frames]
