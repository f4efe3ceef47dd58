"""The Ray engine: bytes equal to the in-process engine's, each clip decomposed once, each portrait encoded once, errors as usual."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import ray
import torch
from disc_face import disc_registry
from disc_media import disc_plan
from ray_discs import PATHS, frames_of, log_lines, ray_plan, risky_registry

from mmfa_components.errors import ConfigError, PluginError
from mmfa_components.registry import load_registry
from pipelines.config.schema import Cache, Engine, Job, Output, Part, Pipeline, Plan, Ray
from pipelines.engines.ray_cluster import size_of_pool
from pipelines.media import VideoWriter, content_digest, open_video, suffix_of
from pipelines.runs.decompositions import decompose_all
from pipelines.runs.run import run_plan


@pytest.fixture(scope="module", autouse=True)
def started() -> Iterator[None]:
    """One Ray for the module; engines join what is there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", PATHS)
        ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=150 * 2**20, log_to_driver=False)
        yield
        ray.shutdown()


@pytest.mark.parametrize(
    ("engine", "resources", "threads", "cpus"),
    [
        (Engine(name="ray"), {"CPU": 16.0, "GPU": 1.0}, 1, 1.0),
        (Engine(name="ray", threads=3), {"CPU": 16.0, "GPU": 1.0}, 3, 1.0),
        (Engine(name="ray"), {"CPU": 16.0}, 5, 5.0),
        (Engine(name="ray", device="cpu"), {"CPU": 16.0, "GPU": 1.0}, 5, 5.0),
    ],
)
def test_a_worker_with_a_gpu_has_one_thread_unless_told_otherwise(
    engine: Engine, resources: dict[str, float], threads: int, cpus: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 5)
    size = size_of_pool(engine, resources)
    assert (size.threads, size.cpus) == (threads, cpus)


@pytest.mark.parametrize(("length", "codec"), [(10, "libx264"), (128, "libx264"), (10, "gif")])
def test_results_are_those_of_the_in_process_engine(
    tmp_path: Path, media: Any, screen: Any, length: int, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Portrait and video as sources, pasted back with views and marked, a smoothed track, spans and segments that do not divide clips."""
    monkeypatch.setattr("pipelines.runs.film.SEGMENT", length)
    changes: dict[str, Any] = {"output": {"frame": "paste", "mark": True, "codec": codec}, "face": {"smooth": 0.2}, "animator": Part("disc_view")}
    sources, clips = [media.red, media.video_source], [media.swing, media.short]

    def planned(folder: str, **engine: Any) -> Plan:
        plan = disc_plan(tmp_path / folder, sources, clips, engine={"threads": 1, "span": 7, **engine}, **changes)
        jobs = tuple(attrs.evolve(j, output=j.output.with_suffix(suffix_of(codec))) for j in plan.jobs)
        return attrs.evolve(plan, jobs=jobs)

    one = planned("one")
    assert run_plan(one, disc_registry(), screen.console).exit_code == 0, screen.text
    two = planned("two", name="ray", ray=Ray(cpus=1.0))
    assert run_plan(two, disc_registry(), screen.console).exit_code == 0, screen.text
    assert [content_digest(j.output) for j in one.jobs] == [content_digest(j.output) for j in two.jobs]
    assert (tmp_path / "two" / "out" / "contact_sheet.png").read_bytes() == (tmp_path / "one" / "out" / "contact_sheet.png").read_bytes()
    body = json.loads((tmp_path / "two" / "out" / "report.json").read_text())
    assert [i["path"] for i in body["inputs"]] == [str(p) for p in (media.red, media.swing, media.short, media.video_source)]
    workers = body["pool"]["workers"]
    assert len(workers) == 2
    assert sum(w["frames"] for w in workers) >= 2 * (27 + 8) * 2
    assert all(0 <= w["busy_share"] <= 1 and w["alive"] > 0 for w in workers)
    assert all(0 <= w["idle_at_end"] <= w["alive"] and w["gpu"] == "" for w in workers)


def test_the_shipped_networks_give_the_same_bytes_too(tmp_path: Path, screen: Any) -> None:
    """Real perception and rendering on a real face; the number of CPU threads decides their last bits, so it is the same."""
    assets = Path(__file__).parents[2] / "pipelines" / "demo"
    clip = tmp_path / "clip.mp4"
    with open_video(assets / "clips" / "laughing_woman.mp4") as reader:
        info, span = reader.info, next(reader.spans(3))
    with VideoWriter(clip, info.width, info.height, info.time_base, info.rate, quality=12) as writer:
        writer.write(span.rgb, list(span.pts))
    digests = []
    for name in ("in_process", "ray"):
        pipeline = Pipeline(
            output=Output(folder=str(tmp_path / name), contact_sheet="", side=320),
            cache=Cache(folder=str(tmp_path / name / "cache")),
            engine=Engine(name=name, device="cpu", precision="float32", batch=2, span=2, threads=1, ray=Ray(cpus=1.0)),
        )
        job = Job(assets / "portraits" / "hiker.jpg", clip, tmp_path / name / "result.mp4")
        assert run_plan(Plan(pipeline, (job,), tmp_path / "real.toml"), load_registry(), screen.console).exit_code == 0, screen.text
        digests.append(content_digest(job.output))
    assert digests[0] == digests[1]


def test_each_clip_is_decomposed_and_each_portrait_encoded_once(tmp_path: Path, media: Any, screen: Any) -> None:
    plan = ray_plan(tmp_path, [media.red, media.blue], [media.swing, media.short], {"together": 2})
    assert run_plan(plan, risky_registry(), screen.console).exit_code == 0, screen.text
    assert frames_of(tmp_path, "encode") == 2
    assert frames_of(tmp_path, "decompose") == 27 + 8 + 2
    assert frames_of(tmp_path, "render") == 2 * (27 + 8)
    assert len({process for what, process, _ in log_lines(tmp_path) if what == "render"}) == 2  # spans of few clips on both workers
    plan.jobs[1].output.unlink()
    again = run_plan(plan, risky_registry(), screen.console)
    assert [j.status for j in again.jobs] == ["skipped", "done", "skipped", "skipped"]
    assert frames_of(tmp_path, "decompose") == 27 + 8 + 2 + 1
    assert frames_of(tmp_path, "render") == 2 * (27 + 8) + 8


def test_the_kind_decompose_fills_the_same_cache(tmp_path: Path, media: Any, screen: Any) -> None:
    plan = ray_plan(tmp_path, [], [], cache={"folder": str(tmp_path / "cache")})
    files = [media.swing, tmp_path / "gone.mp4", media.short]
    report = decompose_all(plan.pipeline, files, risky_registry(), screen.console)
    assert report.exit_code == 1
    assert [c.finished for c in report.clips] == [True, False, True]
    assert report.clips[1].error is not None
    engine = attrs.evolve(plan.pipeline.engine, name="in_process")
    again = decompose_all(attrs.evolve(plan.pipeline, engine=engine), [media.swing, media.short], risky_registry(), screen.console)
    assert [c.report.cached for c in again.clips] == [{"track": True, "motion": True}] * 2


def test_bad_inputs_fail_alone_with_the_same_words(tmp_path: Path, media: Any, screen: Any) -> None:
    from disc_media import write_clip

    empty = write_clip(tmp_path / "no_face.mp4", [[]] * 5)
    zero = tmp_path / "zero.mp4"
    zero.write_bytes(b"")
    plan = ray_plan(tmp_path / "b", [media.red], [empty, zero, media.short])
    report = run_plan(plan, risky_registry(), screen.console)
    assert [j.status for j in report.jobs] == ["failed", "failed", "done"]
    errors = [j.error for j in report.jobs[:2]]
    assert [e.what for e in errors if e] == ["no face was found in this video", "is empty (0 bytes)"]
    assert all(e is not None and e.trace == "" for e in errors)
    assert "Traceback" not in screen.text


def test_what_cannot_be_built_is_told_before_any_work(tmp_path: Path, media: Any, screen: Any) -> None:
    with pytest.raises(PluginError, match="did you mean 'risky'"):
        run_plan(attrs.evolve(plan := ray_plan(tmp_path, [media.red], [media.short]), pipeline=attrs.evolve(plan.pipeline, animator=Part("rsky"))),
                 risky_registry(), screen.console)  # fmt: skip
    with pytest.raises(ConfigError, match="the cluster has"):
        run_plan(ray_plan(tmp_path, [media.red], [media.short], ray={"gpus": 1.0}), risky_registry(), screen.console)
    assert not list((tmp_path / "out").glob("*.mp4"))


def test_a_fault_of_a_component_keeps_the_workers_traceback(tmp_path: Path, media: Any, screen: Any) -> None:
    engine = {"threads": 1, "name": "ray", "ray": Ray(cpus=1.0, max_actors=1)}
    plan = disc_plan(tmp_path, [media.red], [media.short], animator=Part("disc", {"fail_at": 1}), engine=engine)
    report = run_plan(plan, disc_registry(), screen.console)
    error = report.jobs[0].error
    assert error is not None
    assert error.what == "the disc broke"
    assert "disc_face.py" in error.trace
    assert "Traceback" not in screen.text


def test_few_spans_of_a_long_video_are_in_flight(tmp_path: Path, screen: Any, media: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the clip, no more spans than the window are handed in before the first is taken."""
    from disc_media import swinging, write_clip

    from pipelines.engines.ray_engine import RayEngine

    out, most = 0, 0
    submit, result = RayEngine._submit, RayEngine._result

    def counted_submit(self: Any, work: Any, unit: Any, rank: Any) -> Any:
        nonlocal out, most
        if work.__name__ == "film_segment":
            out += 1
            most = max(most, out)
        return submit(self, work, unit, rank)

    def counted_result(self: Any, ticket: Any) -> Any:
        nonlocal out
        value = result(self, ticket)
        out -= ticket.load.name == "film_segment"
        return value

    monkeypatch.setattr("pipelines.runs.film.SEGMENT", 10)
    monkeypatch.setattr(RayEngine, "_submit", counted_submit)
    monkeypatch.setattr(RayEngine, "_result", counted_result)
    path = write_clip(tmp_path / "long.mp4", swinging(150))
    report = run_plan(ray_plan(tmp_path, [media.red], [path], ray={"window": 3}), risky_registry(), screen.console)
    assert report.exit_code == 0, screen.text
    assert most == 3  # of 15
