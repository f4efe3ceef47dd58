"""Clips that benchmarks are run on."""

from __future__ import annotations

import itertools
from pathlib import Path

import torch

from benchmarks.demo_clips import ASSETS, make_clips, to_and_fro
from pipelines.media import open_video


def test_the_way_goes_to_and_fro() -> None:
    assert [to_and_fro(number, 4) for number in range(9)] == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert to_and_fro(7, 1) == 0


def test_a_long_clip_is_joined_of_parts_frame_for_frame(tmp_path: Path) -> None:
    made = make_clips(tmp_path, 2, 3, 70, part=30)
    assert [path.name for path in made] == ["long.mp4", "short000.mp4", "short001.mp4"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.mp4", "short000.mp4", "short001.mp4"]
    with open_video(made[0]) as reader:
        spans = list(reader.spans(64))
    times = [t for span in spans for t in span.pts]
    assert len(times) == 70
    assert {later - sooner for sooner, later in itertools.pairwise(times)} == {1001}
    with open_video(ASSETS / "clips" / "laughing_woman.mp4") as reader:
        demo = next(iter(reader.spans(72))).rgb[:70]
    shown = torch.cat([span.rgb for span in spans])
    differences = torch.stack([(shown[::10, None].float() - demo[None, k].float()).abs().mean((1, 2, 3, 4)) for k in range(70)])
    assert differences.argmin(0).tolist() == list(range(0, 70, 10)), "each frame is the one of its place"
    assert len({path.read_bytes() for path in made}) == 3
