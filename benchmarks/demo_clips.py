"""Clips to measure with: pieces of the demo clip, played to and fro, as many and as long as wanted."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from pipelines.media import VideoWriter, open_video

ASSETS = Path(__file__).parents[1] / "assets"
CHUNK = 64
WRITERS = 8


def make_clips(folder: Path, clips: int, frames: int, long_frames: int = 0) -> list[Path]:
    """``clips`` short ones of ``frames`` and, unless 0, one of ``long_frames``; no two begin alike, so none is taken for another."""
    with open_video(ASSETS / "clips" / "laughing_woman.mp4") as reader:
        info = reader.info
        demo = torch.cat([span.rgb for span in reader.spans(CHUNK)])
    tick = round(1 / (info.rate * info.time_base))

    def write(path: Path, first: int, count: int) -> Path:
        with VideoWriter(path, info.width, info.height, info.time_base, info.rate, quality=12) as writer:
            for start in range(0, count, CHUNK):
                numbers = range(start, min(start + CHUNK, count))
                rows = torch.tensor([to_and_fro(first + number, len(demo)) for number in numbers])
                writer.write(demo[rows], [number * tick for number in numbers])
        return path

    wanted = [("long.mp4", 0, long_frames)] if long_frames else []
    wanted += [(f"short{number:03}.mp4", 1 + 7 * number, frames) for number in range(clips)]
    with ThreadPoolExecutor(min(WRITERS, os.cpu_count() or 1)) as pool:
        return list(pool.map(lambda known: write(folder / known[0], *known[1:]), wanted))


def to_and_fro(number: int, length: int) -> int:
    """The frame that comes ``number``-th on the way through ``length`` frames and back, again and again."""
    place = number % max(1, 2 * length - 2)
    return place if place < length else 2 * length - 2 - place
