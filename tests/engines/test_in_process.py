"""Whole runs of the in-process engine with the disc system: what comes out, what is reused, what is skipped."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from disc_face import Animator, Detector
from disc_media import HEIGHT, WIDTH, decompose_video, disc_plan

from mmfa_components.errors import ConfigError
from mmfa_components.registry import Registry
from pipelines.config.schema import Part
from pipelines.media import content_digest, open_video, probe, read_image, read_metadata
from pipelines.runs.run import run_plan


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many frames went through each part."""
    counts = {"detect": 0, "decompose": 0, "encode": 0, "render": 0}

    def count(cls: type, method: str, name: str, length: Any) -> None:
        original = getattr(cls, method)

        def wrapped(self: Any, *args: Any) -> Any:
            counts[name] += length(args)
            return original(self, *args)

        monkeypatch.setattr(cls, method, wrapped)

    count(Detector, "__call__", "detect", lambda a: len(a[0]))
    count(Animator, "decompose", "decompose", lambda a: len(a[0]))
    count(Animator, "encode", "encode", lambda a: len(a[0]))
    count(Animator, "render", "render", lambda a: len(a[2]))
    return counts


def test_every_portrait_moves_like_every_clip(tmp_path: Path, media: Any, registry: Registry, screen: Any, counted: dict[str, int]) -> None:
    plan = disc_plan(tmp_path, [media.red, media.blue], [media.swing, media.short])
    report = run_plan(plan, registry, screen.console)
    assert report.exit_code == 0, screen.text
    assert [j.status for j in report.jobs] == ["done"] * 4
    assert counted == {"detect": 27 + 8 + 2, "decompose": 27 + 8 + 2, "encode": 2, "render": 2 * (27 + 8)}
    for job in plan.jobs:
        info, clip = probe(job.output), probe(job.driving)
        assert (info.width, info.height, info.rate) == (64, 64, clip.rate)
    for name in ("contact_sheet.png", "report.json"):
        assert (tmp_path / "out" / name).is_file()
    assert not [p for p in (tmp_path / "out").iterdir() if p.name.startswith(".")]


def test_the_result_has_the_transferred_motion(tmp_path: Path, media: Any, registry: Registry, screen: Any) -> None:
    """Measured in the written video itself: relative motion on top of the portrait's own, in the portrait's colour."""
    plan = disc_plan(tmp_path, [media.red], [media.swing], output={"quality": 1})
    report = run_plan(plan, registry, screen.console)
    result = decompose_video(plan.jobs[0].output)
    same = disc_plan(
        tmp_path / "b",
        [media.red],
        [media.swing],
        output={"quality": 1},
        transfer={"fields": {"expression": "absolute", "rotation": "source"}},
    )
    run_plan(same, registry, screen.console)
    other = decompose_video(same.jobs[0].output)
    assert len(result) == len(other) == report.jobs[0].frames == 27
    turn = 0.6 * torch.sin(torch.arange(27) * 2 * torch.pi / 25)
    yaw = -torch.asin(result.rotation[:, 0, 2])
    assert (yaw - yaw[0] - turn).abs().max() < 0.12  # follows the driver ...
    assert abs(float(yaw[0]) - 0.1) < 0.08  # ... from the portrait's own pose
    frozen = -torch.asin(other.rotation[:, 0, 2])
    assert (frozen - frozen[0]).abs().max() < 0.08
    assert result.expression.std() > 0.05


def test_a_second_run_skips_finished_results_and_makes_the_rest_from_the_cache(
    tmp_path: Path, media: Any, registry: Registry, screen: Any, counted: dict[str, int]
) -> None:
    plan = disc_plan(tmp_path, [media.red, media.blue], [media.swing])
    run_plan(plan, registry, screen.console)
    first = {job.output: (content_digest(job.output), job.output.stat().st_mtime_ns) for job in plan.jobs}
    plan.jobs[0].output.unlink()
    for key in counted:
        counted[key] = 0
    report = run_plan(plan, registry, screen.console)
    assert [j.status for j in report.jobs] == ["done", "skipped"]
    assert counted == {"detect": 1, "decompose": 1, "encode": 1, "render": 27}  # the portrait only
    assert [i.cached for i in report.inputs if i.kind == "video"] == [{"track": True, "motion": True}]
    assert {p: content_digest(p) for p in first} == {p: digest for p, (digest, _) in first.items()}
    assert plan.jobs[1].output.stat().st_mtime_ns == first[plan.jobs[1].output][1]
    assert report.jobs[1].frames == 27


def test_what_decides_the_bytes_makes_a_result_anew_and_what_does_not_is_skipped(tmp_path: Path, media: Any, registry: Registry, screen: Any) -> None:
    def status(**changes: Any) -> str:
        plan = disc_plan(tmp_path, [media.red], [media.short], **changes)
        return run_plan(plan, registry, screen.console).jobs[0].status

    assert status() == "done"
    assert status() == "skipped"
    assert status(engine={"batch": 2, "span": 5}) == "skipped"
    assert status(transfer={"fields": {"scale": "source"}}) == "done"
    assert status() == "done"
    assert status(output={"quality": 20}) == "done"
    assert status(output={"quality": 20, "overwrite": True}) == "done"


def test_two_runs_give_the_same_bytes_and_other_batches_the_same_pictures(tmp_path: Path, media: Any, registry: Registry, screen: Any) -> None:
    digests, pictures = [], []
    for run, (batch, span) in enumerate([(4, 10), (4, 10), (1, 7), (16, 64)]):
        engine, face = {"batch": batch, "span": span}, {"smooth": 0.2}
        plan = disc_plan(tmp_path / str(run), [media.red, media.video_source], [media.swing], engine=engine, face=face)
        assert run_plan(plan, registry, screen.console).exit_code == 0, screen.text
        digests.append([content_digest(job.output) for job in plan.jobs])
        for job in plan.jobs:
            with open_video(job.output) as reader:
                pictures.append(torch.cat([s.rgb for s in reader.spans(8)]).float())
    assert digests[0] == digests[1]
    for other in (2, 4, 6):
        for job in (0, 1):
            assert (pictures[other + job] - pictures[job]).abs().mean() < 0.2


def test_a_video_as_source_keeps_its_own_motion_and_is_held_at_its_end(tmp_path: Path, media: Any, registry: Registry, screen: Any) -> None:
    plan = disc_plan(
        tmp_path, [media.video_source], [media.swing], output={"quality": 1},
        transfer={"default": "source"},
    )  # fmt: skip
    report = run_plan(plan, registry, screen.console)
    assert report.exit_code == 0, screen.text
    result = decompose_video(plan.jobs[0].output)
    yaw = -torch.asin(result.rotation[:, 0, 2])
    expected = 0.02 * torch.arange(27).clamp(max=11)
    assert (yaw - expected).abs().max() < 0.08
    assert len(result) == 27


def test_pasting_back_keeps_the_source_size_and_its_surroundings(tmp_path: Path, media: Any, registry: Registry, screen: Any) -> None:
    plan = disc_plan(tmp_path, [media.red, media.video_source], [media.short], output={"frame": "paste", "quality": 1})
    report = run_plan(plan, registry, screen.console)
    assert report.exit_code == 0, screen.text
    for job in plan.jobs:
        info = probe(job.output)
        assert (info.width, info.height) == (WIDTH, HEIGHT)
    original = read_image(media.red).rgb.float()
    with open_video(plan.jobs[0].output) as reader:
        frames = torch.cat([s.rgb for s in reader.spans(8)]).float()
    assert len(frames) == 8
    corner = (slice(None), slice(110, None), slice(130, None))
    assert (frames[corner] - original[110:, 130:]).abs().max() < 6
    disc = frames[:, :, :, 0] > 128
    assert disc.any(1).any(1).all()


def test_the_reference_frame_is_found_or_taken_from_the_job(tmp_path: Path, media: Any, registry: Registry, screen: Any) -> None:
    import attrs

    plan = disc_plan(tmp_path, [media.red], [media.swing], transfer={"reference": "auto"})
    report = run_plan(plan, registry, screen.console)
    assert report.jobs[0].reference in {0, 12, 13, 25}  # frontal and neither smiling nor frowning
    job = attrs.evolve(plan.jobs[0], reference=5)
    assert run_plan(attrs.evolve(plan, jobs=(job,)), registry, screen.console).jobs[0].reference == 5
    job = attrs.evolve(plan.jobs[0], reference=99)
    failed = run_plan(attrs.evolve(plan, jobs=(job,)), registry, screen.console)
    assert failed.exit_code == 1
    assert "reference frame 99 is not in this clip of 27 frames" in screen.text


def test_the_report_says_what_ran(tmp_path: Path, media: Any, registry: Registry, screen: Any) -> None:
    plan = disc_plan(tmp_path, [media.red], [media.short])
    run_plan(plan, registry, screen.console)
    body = json.loads((tmp_path / "out" / "report.json").read_text())
    assert body["exit_code"] == 0
    assert body["components"]["animator"]["name"] == "disc"
    assert body["device"] == "cpu"
    assert body["precision"] == "float32"
    job = body["jobs"][0]
    assert {"render", "write"} <= set(job["seconds"])
    assert job["frames"] == 8
    assert job["frames_per_second"] > 0
    kinds = {i["kind"]: i for i in body["inputs"]}
    assert kinds["video"]["frames"] == 8
    assert {"track", "decompose", "decode"} <= set(kinds["video"]["seconds"])
    assert kinds["video"]["cached"] == {"track": False, "motion": False}


def test_results_say_that_they_are_synthetic(tmp_path: Path, media: Any, registry: Registry, screen: Any) -> None:
    plan = disc_plan(tmp_path, [media.red], [media.short])
    run_plan(plan, registry, screen.console)
    notes = read_metadata(plan.jobs[0].output)
    assert "synthetic" in notes["synthetic"]
    assert set(notes) == {"synthetic", "model", "motion", "mmfa"}
    assert notes["model"] == "disc 1"
    assert notes["motion"].startswith("short.mp4 sha256:")


@pytest.mark.parametrize("mode", ["off", "read"])
def test_without_writing_the_cache_results_are_the_same(tmp_path: Path, media: Any, registry: Registry, screen: Any, mode: str) -> None:
    usual = disc_plan(tmp_path / "a", [media.red], [media.short])
    without = disc_plan(tmp_path / "b", [media.red], [media.short], cache={"mode": mode})
    assert run_plan(usual, registry, screen.console).exit_code == 0
    assert run_plan(without, registry, screen.console).exit_code == 0, screen.text
    assert content_digest(usual.jobs[0].output) == content_digest(without.jobs[0].output)
    cache = tmp_path / "b" / "cache"
    assert not cache.exists() or not [p for p in cache.rglob("*") if p.is_file()]


def test_nothing_is_left_in_the_temporary_folder(
    tmp_path: Path, media: Any, registry: Registry, screen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    run_plan(disc_plan(tmp_path, [media.red], [media.short], cache={"mode": "off"}), registry, screen.console)
    assert os.listdir(folder) == []


def test_progress_says_clip_frames_speed_and_time_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, media: Any, registry: Registry, screen: Any
) -> None:
    import re

    from pipelines.runs import progress

    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    run_plan(disc_plan(tmp_path, [media.red], [media.swing]), registry, screen.console)
    assert re.search(r"red\.png moved by swing\.mp4: \d+/27 frames, [\d.]+ frames/s, \d+ s left \(job 1 of 1\)", screen.text)
    assert "1 done, 0 up to date, 0 failed" in screen.text


def test_memory_held_does_not_grow_with_the_clip(
    tmp_path: Path, media: Any, registry: Registry, screen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No stage ever holds more frames of a clip than a span at once."""
    from disc_media import swinging, write_clip

    from pipelines.stages import frames as room

    largest = 0
    stack = torch.stack

    def watched(rows: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        nonlocal largest
        result = stack(rows, *args, **kwargs)
        if result.dim() == 4 and result.dtype == torch.uint8:
            largest = max(largest, len(result))
        return result

    monkeypatch.setattr(room.torch, "stack", watched)
    path = write_clip(tmp_path / "long.mp4", swinging(120))
    report = run_plan(disc_plan(tmp_path, [media.red], [path]), registry, screen.console)
    assert report.exit_code == 0
    assert 0 < largest <= 10


DETAILED: dict[str, Any] = {"animator": Part("disc_view")}


def test_results_are_as_large_as_asked_for_and_their_keys_say_so(tmp_path: Path, media: Any, registry: Registry, screen: Any) -> None:
    """A portrait and a video as sources; another side is another result, the same side is the same one."""
    sources = [media.red, media.video_source]
    statuses = []
    for side in (128, 128, "source", "auto"):
        plan = disc_plan(tmp_path, sources, [media.short], output={"side": side}, **DETAILED)
        report = run_plan(plan, registry, screen.console)
        assert report.exit_code == 0, screen.text
        statuses.append([j.status for j in report.jobs])
        own = 64 if side == "auto" else 128 if side == 128 else 80  # what the pictures have, in sixteens
        for job, made in zip(plan.jobs, report.jobs, strict=True):
            info = probe(job.output)
            assert (info.width, info.height) == (made.side, made.side)
            assert made.side == own
    assert statuses == [["done", "done"], ["skipped", "skipped"], ["done", "done"], ["done", "done"]]


def test_a_side_that_the_animator_has_not_is_told_before_any_work(
    tmp_path: Path, media: Any, registry: Registry, screen: Any, counted: dict[str, int]
) -> None:
    with pytest.raises(ConfigError, match="of 64 pixels"):
        run_plan(disc_plan(tmp_path, [media.red], [media.short], output={"side": 512}), registry, screen.console)
    with pytest.raises(ConfigError, match="from 64 to 128"):
        run_plan(disc_plan(tmp_path, [media.red], [media.short], output={"side": 512}, **DETAILED), registry, screen.console)
    assert sum(counted.values()) == 0


def test_pasted_back_nothing_changes_along_the_border_of_the_square(tmp_path: Path, media: Any, registry: Registry, screen: Any) -> None:
    plan = disc_plan(tmp_path, [media.red], [media.swing], output={"frame": "paste", "quality": 0}, **DETAILED)
    report = run_plan(plan, registry, screen.console)
    assert report.exit_code == 0, screen.text
    x, y, side, _ = json.loads(read_metadata(plan.jobs[0].output)["mmfa"])["source_square"]
    with open_video(plan.jobs[0].output) as reader:
        frames = torch.cat([span.rgb for span in reader.spans(64)]).float()
    apart = (frames - read_image(media.red).rgb.float()).abs().mean((0, 3))
    inner = slice(int(y - 0.3 * side), int(y + 0.3 * side)), slice(int(x - 0.3 * side), int(x + 0.3 * side))
    assert float(apart[inner].mean()) > 2
    rim = torch.ones_like(apart, dtype=torch.bool)
    rim[int(y - 0.46 * side) : int(y + 0.46 * side), int(x - 0.46 * side) : int(x + 0.46 * side)] = False
    assert float(apart[rim].mean()) < 2
