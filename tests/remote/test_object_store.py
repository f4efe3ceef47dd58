"""Inputs, results and cache at s3:// URLs, against a real S3-compatible server on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import attrs
import fsspec
import pytest
import ray
from disc_face import Disc, disc_registry
from disc_media import disc_plan, swinging, write_clip, write_portrait
from moto.server import ThreadedMotoServer
from ray_discs import PATHS
from rich.console import Console

from cache import open_cache
from mmfa_components.errors import MediaError, OutputError
from pipelines.config.faults import Faults
from pipelines.config.inputs import make_jobs, output_folder
from pipelines.config.schema import Inputs, Plan, Ray
from pipelines.media import content_digest, probe
from pipelines.remote import is_url, present, staged_input, upload, url_of
from pipelines.runs.run import run_plan


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of the server."""
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A fresh bucket; staged files lie in the test's own folder."""
    for name, value in {
        "AWS_ENDPOINT_URL": server, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
        "MMFA_STAGE": str(tmp_path / "stage"),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    name = f"bucket-{abs(hash(request.node.name)) % 10**8}"
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir(name)
    return name


def store() -> Any:
    return fsspec.filesystem("s3", use_listings_cache=False)


def fill(bucket: str, folder: Path) -> None:
    """A portrait and two clips in the bucket."""
    store().put_file(str(write_portrait(folder / "red.png", Disc(60, 50, 20, 0.1))), f"{bucket}/faces/red.png")
    for name, frames in (("clip2", 12), ("clip10", 8)):
        store().put_file(str(write_clip(folder / f"{name}.mp4", swinging(frames))), f"{bucket}/clips/{name}.mp4")


def plan_of(bucket: str, folder: Path, **changes: Any) -> Plan:
    """The bucket's portrait with its clips, results and cache in the bucket."""
    plan = disc_plan(folder, [], [], output={"folder": f"s3://{bucket}/out", **changes}, cache={"folder": f"s3://{bucket}/cache"})
    faults = Faults()
    inputs = Inputs((f"s3://{bucket}/faces/red.png",), (f"s3://{bucket}/clips/*.mp4",))
    jobs = make_jobs(inputs, plan.pipeline.output, folder, faults)
    assert faults.items == []
    return attrs.evolve(plan, jobs=jobs)


def run(plan: Plan) -> tuple[Any, str]:
    text = StringIO()
    return run_plan(plan, disc_registry(), Console(file=text, width=200)), text.getvalue()


def check_results(bucket: str, local: Plan, folder: Path) -> None:
    """The results in the bucket are those of a run of local files, to the last pixel."""
    for job in local.jobs:
        store().get_file(f"{bucket}/out/{job.output.name}", str(folder / "back.mp4"))
        assert content_digest(folder / "back.mp4") == content_digest(job.output)


def test_a_run_from_bucket_to_bucket_is_the_local_one(bucket: str, tmp_path: Path) -> None:
    fill(bucket, tmp_path)
    plan = plan_of(bucket, tmp_path)
    assert [job.driving.name for job in plan.jobs] == ["clip2.mp4", "clip10.mp4"]  # natural order
    assert not any(job.driving.exists() for job in plan.jobs)  # a plan fetches nothing
    report, text = run(plan)
    assert report.exit_code == 0, text
    names = {path.rsplit("/", 1)[1] for path in store().find(f"{bucket}/out")}
    assert names == {"red__clip2.mp4", "red__clip10.mp4", "red__clip2.mp4.json", "red__clip10.mp4.json", "contact_sheet.png", "report.json"}
    local = disc_plan(tmp_path / "local", [tmp_path / "red.png"], [tmp_path / "clip2.mp4", tmp_path / "clip10.mp4"])
    assert run(local)[0].exit_code == 0
    check_results(bucket, local, tmp_path)
    assert json.loads(store().cat_file(f"{bucket}/out/report.json"))["totals"]["done"] == 2

    import shutil

    shutil.rmtree(tmp_path / "stage")  # another machine
    store().rm_file(f"{bucket}/out/red__clip2.mp4")
    again, text = run(plan_of(bucket, tmp_path))
    assert [job.status for job in again.jobs] == ["done", "skipped"], text
    assert [i.cached for i in again.inputs if i.kind == "video"] == [{"track": True, "motion": True}]
    assert again.warnings == []


def test_workers_of_ray_fetch_their_own_inputs(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers inherit address and credentials from the node they run on; what they make is what one process makes of local files."""
    fill(bucket, tmp_path)
    monkeypatch.setenv("PYTHONPATH", PATHS)
    ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=150 * 2**20, log_to_driver=False)
    try:
        plan = plan_of(bucket, tmp_path)
        engine = attrs.evolve(plan.pipeline.engine, name="ray", threads=1, span=5, ray=Ray(cpus=1.0, min_actors=2))
        plan = attrs.evolve(plan, pipeline=attrs.evolve(plan.pipeline, engine=engine))
        report, text = run(plan)
    finally:
        ray.shutdown()
    assert report.exit_code == 0, text
    assert len(report.pool.workers) == 2
    assert sum(w.frames for w in report.pool.workers) >= 2 * (12 + 8)
    local = disc_plan(tmp_path / "local", [tmp_path / "red.png"], [tmp_path / "clip2.mp4", tmp_path / "clip10.mp4"], engine={"threads": 1, "span": 5})
    assert run(local)[0].exit_code == 0
    check_results(bucket, local, tmp_path)
    assert [job.status for job in run(plan_of(bucket, tmp_path))[0].jobs] == ["skipped", "skipped"]


def test_a_result_without_its_marker_or_cut_off_counts_as_not_there(bucket: str, tmp_path: Path) -> None:
    fill(bucket, tmp_path)
    plan = plan_of(bucket, tmp_path)
    run(plan)
    store().rm_file(f"{bucket}/out/.mmfa/red__clip2.mp4.json")
    store().pipe_file(f"{bucket}/out/red__clip10.mp4", b"half")
    assert [job.status for job in run(plan)[0].jobs] == ["done", "done"]
    assert [job.status for job in run(plan)[0].jobs] == ["skipped", "skipped"]


def test_an_input_that_changes_is_another_one(bucket: str, tmp_path: Path) -> None:
    fill(bucket, tmp_path)
    url = f"s3://{bucket}/clips/clip10.mp4"
    first = staged_input(url)
    assert url_of(first) == url
    assert probe(first).frames == 8
    store().put_file(str(tmp_path / "clip2.mp4"), url)
    second = staged_input(url)
    assert second != first
    assert probe(second).frames == 12
    second.unlink()
    store().put_file(str(tmp_path / "red.png"), url)
    with pytest.raises(MediaError, match="was changed while it was being used"):
        present(second)
    store().rm_file(url)
    with pytest.raises(MediaError, match="not there any more"):
        present(second)
    assert not [p for p in (tmp_path / "stage").rglob("*") if p.name.startswith(".")]


def test_the_cache_survives_half_put_and_damaged_entries(bucket: str, tmp_path: Path) -> None:
    import torch

    from cache import CacheKey
    from mmfa_components.records import Timestamps

    told: list[str] = []
    url = f"s3://{bucket}/cache"
    key = CacheKey.of(Timestamps, [], {}, "0" * 64, "clip", "exact")
    record = Timestamps(torch.arange(5))

    def cache(name: str) -> Any:
        from cache.remote import RemoteCache

        return RemoteCache(url, "use", None, told.append, tmp_path / name)

    assert cache("a").get(key) is None
    cache("a").put(key, record)
    assert torch.equal(cache("b").get(key).pts, record.pts)
    marker = next(p for p in store().find(url) if p.endswith(f"{key.digest}/complete.json"))
    known = json.loads(store().cat_file(marker))
    part = next(name for name in known["files"] if "/c/" in name)
    store().pipe_file(f"{marker.rsplit('/', 1)[0]}/{known['attempt']}/{part}", b"rubbish")
    assert cache("c").get(key) is None  # seen by its digest
    assert "damaged cache entry" in told[-1]
    store().rm_file(marker)
    assert cache("d").get(key) is None  # files without the marker are no entry
    cache("d").put(key, record)
    assert torch.equal(cache("e").get(key).pts, record.pts)
    assert type(open_cache(str(tmp_path / "plain"), "use")).__name__ == "RecordCache"


def test_what_cannot_be_reached_is_told_before_any_work(bucket: str, tmp_path: Path) -> None:
    plan = disc_plan(tmp_path, [], [], output={"folder": "s3://no-such-bucket-here/out"})
    with pytest.raises(OutputError, match="results cannot be put there"):
        run(plan)
    faults = Faults()
    make_jobs(Inputs((f"s3://{bucket}/none/*.png",), ("nosuch://x/y.mp4",)), plan.pipeline.output, tmp_path, faults)
    assert [f.where for f in faults.items] == ["inputs.sources[0]", "inputs.driving[0] nosuch://x/y.mp4"]
    assert "mmfa[cloud]" in faults.items[1].fix
    assert is_url("s3://a/b")
    assert not is_url("C:/a")
    upload(tmp_path / "plain.mp4", {})  # no URL: nothing to do
    assert output_folder(plan.pipeline.output) == tmp_path / "stage" / "out" / "s3" / "no-such-bucket-here" / "out"
