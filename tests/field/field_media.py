"""Files as people have them, made from the product's own demo media: small, and odd in one way each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

ASSETS = Path(__file__).parents[2] / "pipelines" / "demo"
MAN, WOMAN = ASSETS / "clips" / "smiling_man.mp4", ASSETS / "clips" / "laughing_woman.mp4"
Picture = np.ndarray[Any, Any]


@cache
def pictures(path: Path, count: int, first: int = 0) -> list[Picture]:
    """``count`` frames (360, 640, 3) of a clip from ``first`` on."""
    with av.open(str(path)) as file:
        return [f.to_ndarray(format="rgb24") for k, f in enumerate(file.decode(video=0)) if first <= k < first + count]


def resized(rgb: Picture, width: int, height: int) -> Picture:
    """A picture of another size."""
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.LANCZOS))


def farther(rgb: Picture, factor: float, width: int, height: int, cx: float = 0.5, cy: float = 0.35) -> Picture:
    """The picture made smaller, in a larger one whose rest repeats its edge."""
    small = resized(rgb, round(rgb.shape[1] * factor), round(rgb.shape[0] * factor))
    h, w = small.shape[:2]
    x, y = int(cx * width - w / 2), int(cy * height - h / 2)
    sides = ((max(0, y), max(0, height - y - h)), (max(0, x), max(0, width - x - w)), (0, 0))
    padded = np.pad(small, sides, mode="edge")
    return np.ascontiguousarray(padded[max(0, -y) : max(0, -y) + height, max(0, -x) : max(0, -x) + width])


def sound(seconds: float, rate: int = 44100, first: float = 0.5) -> Picture:
    """The man's own sound from second ``first``, (2, samples) float32."""
    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=rate)
    with av.open(str(MAN)) as file:
        parts = [p.to_ndarray() for f in file.decode(audio=0) for p in resampler.resample(f)]
    return np.concatenate(parts, 1)[:, int(first * rate) :][:, : int(seconds * rate)]


def sound_frames(data: Picture, rate: int, form: str = "fltp", first: int = 0) -> list[Any]:
    """Sound (channels, samples) as frames of 1024 samples in one of FFmpeg's sample formats."""
    layout = "stereo" if len(data) == 2 else "mono"
    made = []
    for start in range(0, data.shape[1], 1024):
        part = np.ascontiguousarray(data[:, start : start + 1024])
        if form == "u8":
            part = (part.T.reshape(1, -1) * 127 + 128).clip(0, 255).astype(np.uint8)
        elif form == "s16":
            part = (part.T.reshape(1, -1) * 32767).clip(-32768, 32767).astype(np.int16)
        elif form == "s16p":
            part = (part * 32767).clip(-32768, 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(part, format=form, layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, first + start, Fraction(1, rate)
        made.append(frame)
    return made


def write(
    path: Any,
    rgb: Sequence[Picture],
    rate: Fraction | int = 30,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    audio: Sequence[list[Any]] = (),
    audio_codec: str = "aac",
    form: str | None = None,
    sar: Fraction | None = None,
    start: int = 0,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
) -> Any:
    """A clip of these frames, with one or more sounds (lists of frames) if wanted."""
    height, width = rgb[0].shape[:2]
    with av.open(path if hasattr(path, "write") else str(path), "w", format=form) as out:
        stream: Any = out.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        if time_base:
            stream.codec_context.time_base = time_base
        if sar:
            stream.codec_context.sample_aspect_ratio = sar
        if codec.startswith("libx26"):
            stream.options = {"crf": "20", "preset": "veryfast", **(options or {})}
        else:
            stream.bit_rate = 800_000
            stream.options = dict(options or {})
        tracks: list[Any] = [out.add_stream(audio_codec, rate=a[0].sample_rate, layout=a[0].layout.name) for a in audio]
        for k, image in enumerate(rgb):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts = pts[k] if pts else start + k
            if time_base:
                frame.time_base = time_base
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        for track, parts in zip(tracks, audio, strict=True):
            for part in parts:
                out.mux(track.encode(part))
            out.mux(track.encode(None))
    return path


def copy_packets(
    source: Path,
    target: Path,
    keep: Callable[[str, int], bool] = lambda kind, k: True,
    edit: Callable[[str, int, bytes], bytes | None] = lambda kind, k, data: None,
) -> Path:
    """Copy a file packet by packet: leave some out, change some."""
    with av.open(str(source)) as i, av.open(str(target), "w") as o:
        streams = {s.index: o.add_stream_from_template(s) for s in i.streams}
        count = dict.fromkeys(streams, -1)
        for packet in i.demux():
            if packet.size == 0:
                continue
            index = packet.stream_index
            count[index] += 1
            kind, to = packet.stream.type, streams[index]
            if not keep(kind, count[index]):
                continue
            data = edit(kind, count[index], bytes(packet))
            if data is not None:
                made = av.Packet(data)
                made.pts, made.dts, made.time_base, made.duration = packet.pts, packet.dts, packet.time_base, packet.duration
                made.is_keyframe = packet.is_keyframe
                packet = made
            packet.stream = to
            o.mux(packet)
    return target


def noise_at(which: str, first: int, last: int, kept: int = 0) -> Callable[[str, int, bytes], bytes | None]:
    """An edit for copy_packets: noise instead of packets ``first`` to ``last``, but for their first bytes."""

    def change(kind: str, k: int, data: bytes) -> bytes | None:
        if kind != which or not first <= k < last:
            return None
        noise = np.random.default_rng(k).integers(0, 256, len(data), dtype=np.uint8).tobytes()
        return data[:kept] + noise[kept:]

    return change
