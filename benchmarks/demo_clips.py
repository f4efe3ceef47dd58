"""Clips to measure with: the demo clip played to and fro, as often and as long as wanted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import torch

from pipelines.media import VideoWriter, open_video

ASSETS = Path(__file__).parents[1] / "pipelines" / "demo"
CHUNK = 64
WRITERS = 8
PART = 512
"""Frames of a long clip that are encoded by one writer; parts are made side by side and joined."""


def make_clips(folder: Path, clips: int, frames: int, long_frames: int = 0, part: int = PART) -> list[Path]:
    """``clips`` short ones of ``frames`` and, unless 0, one of ``long_frames``; no two begin alike, so none is taken for another."""
    with open_video(ASSETS / "clips" / "laughing_woman.mp4") as reader:
        info = reader.info
        demo = torch.cat([span.rgb for span in reader.spans(CHUNK)])
    tick = round(1 / (info.rate * info.time_base))

    def write(name: str, first: int, count: int) -> Path:
        path = folder / name
        with VideoWriter(path, info.width, info.height, info.time_base, info.rate, quality=12) as writer:
            for start in range(0, count, CHUNK):
                numbers = range(start, min(start + CHUNK, count))
                rows = torch.tensor([to_and_fro(first + number, len(demo)) for number in numbers])
                writer.write(demo[rows], [number * tick for number in numbers])
        return path

    parts = [(f"part{start:09}.mp4", start, min(part, long_frames - start)) for start in range(0, long_frames, part)]
    short = [(f"short{number:03}.mp4", 1 + 7 * number, frames) for number in range(clips)]
    with ThreadPoolExecutor(min(WRITERS, os.cpu_count() or 1)) as pool:
        made = list(pool.map(lambda known: write(*known), [*parts, *short]))
    if not parts:
        return made
    joined = join(made[: len(parts)], [count * tick for _, _, count in parts], folder / "long.mp4")
    return [joined, *made[len(parts) :]]


def join(parts: Sequence[Path], durations: Sequence[int], path: Path) -> Path:
    """One video of several that were encoded alike, without encoding anew; the parts are removed. durations: in their time base."""
    begins = 0
    with av.open(str(path), "w") as out:
        stream = None
        for part, duration in zip(parts, durations, strict=True):
            with av.open(str(part)) as source:
                own = source.streams.video[0]
                stream = stream or out.add_stream_from_template(own)
                for packet in source.demux(own):
                    if packet.pts is None or packet.dts is None:  # the end
                        continue
                    packet.pts, packet.dts, packet.stream = packet.pts + begins, packet.dts + begins, stream
                    out.mux(packet)
            begins += duration
            part.unlink()
    return path


def to_and_fro(number: int, length: int) -> int:
    """The frame that comes ``number``-th on the way through ``length`` frames and back, again and again."""
    place = number % max(1, 2 * length - 2)
    return place if place < length else 2 * length - 2 - place
