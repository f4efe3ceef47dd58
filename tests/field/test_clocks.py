"""Kind 5: a source video and a driving clip each keep their own clock."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from disc_face import Disc, draw
from disc_media import disc_plan
from field_media import write

from mmfa_components.registry import Registry
from pipelines.media import open_video
from pipelines.runs.run import run_plan


def barred(seconds: float) -> np.ndarray:
    """A disc under a red-free bar as long as the time: 320 pixels a second."""
    picture = draw([Disc(160 + 10 * seconds, 120, 40, tint=0.5)], 320, 200).numpy().copy()
    picture[:16] = 0
    picture[:16, : round(320 * seconds)] = (0, 255, 255)
    return picture


def bar(rgb: np.ndarray) -> float:
    """Seconds the bar of a picture tells."""
    return float((rgb[4:12, :, 1] > 128).mean(0).sum() / 320)


SOURCES: dict[str, list[float]] = {
    "30": [k / 30 for k in range(30)],
    "12": [k / 12 for k in range(12)],
    "variable": [0.0, 0.1, 0.12, 0.3, 0.31, 0.5, 0.55, 0.56, 0.57, 0.8],
}
DRIVING: dict[str, list[float]] = {
    "12": [k / 12 for k in range(9)],
    "30": [k / 30 for k in range(22)],
    "60": [k / 60 for k in range(44)],
    "variable": [0.0, 0.04, 0.2, 0.25, 0.45, 0.7],
}


def timed(path: Path, pictures: list[np.ndarray], seconds: list[float]) -> Path:
    stamps = [round(6000 * s) for s in seconds]
    write(path, pictures, rate=30, pts=stamps, time_base=Fraction(1, 6000), options={"crf": "4"})
    return path


@pytest.mark.parametrize(
    ("source", "driving"),
    [("30", "12"), ("30", "60"), ("30", "variable"), ("12", "30"), ("variable", "30"), ("variable", "variable")],
)
def test_the_source_is_shown_at_its_own_time(tmp_path: Path, registry: Registry, screen: Any, source: str, driving: str) -> None:
    times = SOURCES[source]
    film = timed(tmp_path / "source.mkv", [barred(s) for s in times], times)
    clip = timed(tmp_path / "driving.mkv", [draw([Disc(80, 60, 24)], 160, 120).numpy()] * len(DRIVING[driving]), DRIVING[driving])
    plan = disc_plan(tmp_path, [film], [clip], output={"frame": "paste", "quality": 2, "contact_sheet": ""}, engine={"span": 5})
    report = run_plan(plan, registry, screen.console)
    assert report.exit_code == 0, screen.text
    with open_video(plan.jobs[0].output) as reader:
        made = [(float(f.pts * reader.info.time_base), f.rgb().numpy()) for f in reader.frames()]
    assert len(made) == len(DRIVING[driving])
    for at, rgb in made:
        shown = max(s for s in times if s <= at + 2e-3)
        assert abs(bar(rgb) - shown) < 0.012, at
        red = (rgb[..., 0] > 128) & (np.arange(200)[:, None] > 20)
        assert abs(red.nonzero()[1].mean() - (160 + 10 * shown)) < 1.0, "motion, crop and background are of one frame"
