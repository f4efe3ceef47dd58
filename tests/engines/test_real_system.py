"""The shipped system on real pictures: facemesh perception and the trained animator, through the whole engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import torch

from mmfa_components.geometry.rotations import geodesic_degrees
from mmfa_components.records import FaceRegions, Frames
from mmfa_components.registry import Registry, load_registry
from pipelines.config.schema import Cache, Engine, Face, Job, Output, Pipeline, Plan
from pipelines.media import VideoWriter, open_video, probe, read_image
from pipelines.runs.run import run_plan

ASSETS = Path(__file__).parents[2] / "pipelines" / "demo"


@pytest.fixture(scope="module")
def shipped() -> Registry:
    return load_registry()


@attrs.frozen
class Run:
    """A finished run of one portrait and a few frames of a clip."""

    plan: Plan
    report: Any
    clip: Path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, shipped: Registry) -> Run:
    from io import StringIO

    from rich.console import Console

    folder = tmp_path_factory.mktemp("real")
    clip = folder / "clip.mp4"
    with open_video(ASSETS / "clips" / "laughing_woman.mp4") as reader:  # every 30th frame: large movements
        info = reader.info
        frames = torch.cat([span.rgb for index, span in enumerate(reader.spans(1, 0, 181)) if index % 30 == 0])
    with VideoWriter(clip, info.width, info.height, info.time_base, info.rate, quality=12) as writer:
        step = round(1 / (info.rate * info.time_base))
        writer.write(frames, [i * step for i in range(len(frames))])
    portrait = ASSETS / "portraits" / "hiker.jpg"
    pipeline = Pipeline(
        face=Face(max_gap=2),
        output=Output(folder=str(folder / "out")),
        cache=Cache(folder=str(folder / "cache")),
        engine=Engine(device="cpu", precision="float32", batch=4, span=8),
    )
    plan = Plan(pipeline, (Job(portrait, clip, folder / "out" / "result.mp4"),), folder / "real.toml")
    return Run(plan, run_plan(plan, shipped, Console(file=StringIO())), clip)


def test_it_runs_and_follows_the_face(run: Run) -> None:
    assert run.report.exit_code == 0
    job = run.report.jobs[0]
    assert job.frames == 7
    assert job.lost == []
    info = probe(run.plan.jobs[0].output)
    assert (info.width, info.height) == (256, 256)
    assert run.report.components["animator"]["weights"].keys() >= {"mmfa_base"}
    assert (Path(run.plan.pipeline.output.folder) / "contact_sheet.png").is_file()


def poses(registry: Registry, rgb: torch.Tensor) -> torch.Tensor:
    """Head rotations (n, 3, 3) of pictures (n, H, W, 3) uint8 that each show one face, by the shipped perception."""
    from mmfa_components.geometry.squares import region_of_detection

    context = registry.context()
    frames = Frames(rgb.permute(0, 3, 1, 2).float() / 255)
    detections = registry.build("face_detector", "facemesh", {}, context)(frames)
    first = [int((detections.image == i).nonzero()[0]) for i in range(len(frames))]
    squares = region_of_detection(detections.points[first])
    landmarks = registry.build("landmark_detector", "facemesh", {}, context)(frames, FaceRegions(squares))
    assert landmarks.presence.min() > 0.5
    matrix: torch.Tensor = registry.build("rotation_estimator", "facemesh", {}, context)(landmarks).matrix
    return matrix


def test_results_are_faces_that_turn_with_the_driver(run: Run, shipped: Registry) -> None:
    """The change of head pose in the result, measured in its pixels, correlates with the driver's."""
    with open_video(run.clip) as reader:
        driving = poses(shipped, torch.cat([s.rgb for s in reader.spans(8)]))
    with open_video(run.plan.jobs[0].output) as reader:
        result = poses(shipped, torch.cat([s.rgb for s in reader.spans(8)]))
    wanted, got = driving[1:] @ driving[:-1].transpose(1, 2), result[1:] @ result[:-1].transpose(1, 2)
    still = geodesic_degrees(torch.eye(3).expand_as(wanted), wanted)
    missed = geodesic_degrees(got, wanted)
    assert still.mean() > 5  # the driver does move
    assert missed.mean() < 0.8 * still.mean()


def test_the_portrait_stays_recognisable_in_colour_and_place(run: Run) -> None:
    with open_video(run.plan.jobs[0].output) as reader:
        rgb = torch.cat([s.rgb for s in reader.spans(8)]).float()
    portrait = read_image(run.plan.jobs[0].source).rgb.float()
    assert (rgb.mean((0, 1, 2)) - portrait.mean((0, 1))).abs().max() < 40
    assert rgb.std() > 30  # a picture, not one grey


def test_motion_comes_from_the_cache_in_a_second_run(run: Run, shipped: Registry) -> None:
    from io import StringIO

    from rich.console import Console

    again = run_plan(run.plan, shipped, Console(file=StringIO()))
    assert [j.status for j in again.jobs] == ["skipped"]
    plan = attrs.evolve(run.plan, pipeline=attrs.evolve(run.plan.pipeline, output=attrs.evolve(run.plan.pipeline.output, overwrite=True)))
    third = run_plan(plan, shipped, Console(file=StringIO()))
    assert [j.status for j in third.jobs] == ["done"]
    assert [i.cached for i in third.inputs if i.kind == "video"] == [{"track": True, "motion": True}]
