"""Media made on the spot for tests: clips of any pixel format, rate and rotation, sound, and files damaged in known ways."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def picture(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A frame (H, W, 3) whose flat colour tells its index, with a bright top left corner."""
    rgb = np.full((height, width, 3), (40 + 3 * (index % 60), 90, 120), np.uint8)
    rgb[: height // 4, : width // 4] = (230, 230, 230)
    return rgb


def clip(
    path: Path,
    frames: int = 12,
    *,
    rate: Fraction = Fraction(25),
    size: tuple[int, int] = (64, 48),
    pixel_format: str = "yuv420p",
    codec: str = "libx264",
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    sound: float = 0.0,
    sound_codec: str = "aac",
    sound_start: float = 0.0,
) -> Path:
    """Write a clip; ``pts`` in ``time_base`` units make the rate variable, ``sound`` is its length in seconds."""
    base = time_base or 1 / rate
    options = {"video_track_timescale": str(base.denominator * 1000)} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as out:
        stream = out.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, pixel_format
        stream.codec_context.time_base = base
        audio = out.add_stream(sound_codec, rate=44100) if sound else None
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(index, *size), format="rgb24")
            frame.pts, frame.time_base = (pts[index] if pts else index), base
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if audio:
            first = round(sound_start * 44100)
            for index in range(round(sound * 44100 / 1024)):
                tone = np.sin(np.arange(index * 1024, (index + 1) * 1024) * 0.06).astype(np.float32) * 0.3
                part = av.AudioFrame.from_ndarray(np.stack([tone, tone]), format="fltp", layout="stereo")
                part.sample_rate, part.pts = 44100, first + index * 1024
                if sound_codec.startswith("pcm"):
                    part = av.AudioResampler(format="s16", layout="stereo", rate=44100).resample(part)[0]
                out.mux(audio.encode(part))
            out.mux(audio.encode(None))
    return path


def sound_only(path: Path) -> Path:
    """A file with sound and no picture."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=44100)
        part = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        part.sample_rate = 44100
        for index in range(20):
            part.pts = index * 1024
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return path


def truncated(path: Path, whole: Path, share: float = 0.5) -> Path:
    """The first part of a file."""
    data = whole.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def moving_clip(path: Path, frames: int, codec: str, options: dict[str, str], size: tuple[int, int] = (96, 64)) -> Path:
    """A clip of noise that moves, so that frames rest on each other, by an encoder with these options."""
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.options = *size, "yuv420p", options
        for index in range(frames):
            rgb = np.roll(noise, index, 1)
            rgb[:8, :8] = index
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts = index
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path
