"""Clips of any length for a benchmark, made from the demo clip by going to and fro through it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import torch

from benchmarks.scale_out import ASSETS
from pipelines.media import VideoWriter, open_video

DEMO = ASSETS / "clips" / "laughing_woman.mp4"
CHUNK = 64
WRITERS = 8


def make_clips(folder: Path, clips: int, frames: int, long_frames: int) -> list[Path]:
    """``clips`` short ones of ``frames`` and, unless 0, one of ``long_frames``; no two begin alike, so none is taken for another.

    What repeats in the long one is encoded once: its packets are written again and again.
    """
    with open_video(DEMO) as reader:
        info = reader.info
        demo = torch.cat([span.rgb for span in reader.spans(CHUNK)])
    tick = round(1 / (info.rate * info.time_base))
    period = 2 * len(demo) - 2
    repeats, rest = divmod(long_frames, period)

    def write(path: Path, first: int, count: int) -> Path:
        with VideoWriter(path, info.width, info.height, info.time_base, info.rate, quality=12) as writer:
            for start in range(0, count, CHUNK):
                numbers = range(start, min(start + CHUNK, count))
                rows = torch.tensor([to_and_fro(first + number, len(demo)) for number in numbers])
                writer.write(demo[rows], [number * tick for number in numbers])
        return path

    short = [(folder / f"short{number:03}.mp4", 1 + 7 * number, frames) for number in range(clips)]
    parts = [(folder / "period.part.mp4", 0, period)] * (repeats > 0) + [(folder / "rest.part.mp4", 0, rest)] * (rest > 0)
    with ThreadPoolExecutor(min(WRITERS, os.cpu_count() or 1)) as pool:
        written = list(pool.map(lambda known: write(*known), [*parts, *short]))
    if not parts:
        return written
    pieces = [folder / "period.part.mp4"] * repeats + [folder / "rest.part.mp4"] * (rest > 0)
    long = join_clips(folder / "long.mp4", pieces, period * tick)
    for path, _, _ in parts:
        path.unlink()
    return [long, *written[len(parts) :]]


def join_clips(path: Path, pieces: Sequence[Path], ticks: int) -> Path:
    """The packets of clips of one encoder one after the other, each ``ticks`` later than the one before."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as out:
        stream = None
        for number, piece in enumerate(pieces):
            with av.open(str(piece)) as read:
                source = read.streams.video[0]
                if stream is None:
                    stream = out.add_stream_from_template(source)
                    stream.time_base = source.time_base
                for packet in read.demux(source):
                    if packet.pts is None or packet.dts is None:
                        continue  # the end
                    packet.pts, packet.dts = packet.pts + number * ticks, packet.dts + number * ticks
                    packet.stream = stream
                    out.mux(packet)
    return path


def to_and_fro(number: int, length: int) -> int:
    """The frame that comes ``number``-th on the way through ``length`` frames and back, again and again."""
    place = number % max(1, 2 * length - 2)
    return place if place < length else 2 * length - 2 - place
