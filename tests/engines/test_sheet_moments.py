"""Which frames the contact sheet shows, and when it is drawn anew."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import torch
from disc_media import disc_plan

from mmfa_components.geometry.rotations import euler_to_matrix
from mmfa_components.records import HEAD, Motion
from mmfa_components.registry import Registry
from pipelines.runs.run import run_plan
from pipelines.runs.sheet import MOMENTS, choose_moments


class Held:
    """A stored motion in memory."""

    def __init__(self, motion: Motion) -> None:
        self.motion = motion

    def __len__(self) -> int:
        return len(self.motion)

    def read(self, start: int, stop: int) -> Motion:
        return self.motion[start:stop]


def turned(yaw: torch.Tensor) -> Held:
    n = len(yaw)
    return Held(Motion(euler_to_matrix(yaw, 0 * yaw, 0 * yaw), torch.ones(n), torch.zeros(n, 3), torch.zeros(n, 2)))


def test_moments_are_the_peaks_of_even_parts() -> None:
    yaw = torch.zeros(120)
    peaks = [8, 31, 50, 71, 90, 112]
    yaw[peaks] = 0.5
    assert choose_moments(turned(yaw), 0, HEAD) == peaks


def test_moments_keep_apart_and_rise() -> None:
    chosen = choose_moments(turned(torch.linspace(0, 1, 600)), 0, HEAD)
    assert len(chosen) == MOMENTS
    assert min(b - a for a, b in itertools.pairwise(chosen)) > 50


def test_short_clips_have_fewer_moments() -> None:
    assert choose_moments(turned(torch.zeros(1)), 0, HEAD) == [0]
    assert choose_moments(turned(torch.zeros(4)), 0, HEAD) == [0, 1, 2, 3]


def test_the_sheet_is_drawn_anew_only_when_results_changed(tmp_path: Path, media: Any, registry: Registry, screen: Any) -> None:
    sheet = tmp_path / "out" / "contact_sheet.png"
    run_plan(disc_plan(tmp_path, [media.red], [media.short]), registry, screen.console)
    first = sheet.stat().st_mtime_ns
    run_plan(disc_plan(tmp_path, [media.red], [media.short]), registry, screen.console)
    assert sheet.stat().st_mtime_ns == first
    report = run_plan(disc_plan(tmp_path, [media.red, media.blue], [media.short]), registry, screen.console)
    assert sheet.stat().st_mtime_ns != first
    assert report.contact_sheet == str(sheet)
