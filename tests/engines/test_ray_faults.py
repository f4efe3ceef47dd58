"""Accidents on a cluster of several nodes on this machine: nothing finished is lost or done again, nothing half-written is seen."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import av
import pytest
import ray
from disc_face import Disc, disc_registry
from disc_media import disc_plan, swinging, write_clip, write_portrait
from ray.cluster_utils import Cluster
from ray_discs import PATHS, POISON_TINT, ROOT, frames_of, log_lines, ray_plan, risky_registry

from cache.__main__ import main as cache_command
from pipelines.engines import ray_pool
from pipelines.media import read_metadata
from pipelines.runs.run import run_plan

STORE = 80 * 2**20
SPAN = 10
"""Frames of a unit of work in these plans."""


def pictures_of(path: Path) -> str:
    """Digest of a whole video's encoded pictures with their times: all but the notes, in which the animator's options count."""
    digest = hashlib.sha256()
    with av.open(str(path)) as file:
        for packet in file.demux(video=0):
            digest.update(f"{packet.pts} {packet.dts} {packet.size}".encode())
            digest.update(bytes(packet))
    return digest.hexdigest()


@attrs.frozen
class Inputs:
    """Portraits and clips, and the digests of the in-process engine's results for every pair."""

    red: Path
    blue: Path
    long: Path
    short: Path
    digests: dict[str, str]


@pytest.fixture(scope="module", autouse=True)
def short_segments() -> Iterator[None]:
    """Segments of a result are as short as the spans of a clip, so that both workers have some."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.runs.film.SEGMENT", SPAN)
        yield


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, short_segments: None) -> Inputs:
    from io import StringIO

    from rich.console import Console

    folder = tmp_path_factory.mktemp("faults")
    red, blue = write_portrait(folder / "red.png", Disc(60, 50, 20, 0.1)), write_portrait(folder / "blue.png", Disc(90, 70, 26, tint=0.7))
    long, short = write_clip(folder / "long.mp4", swinging(75)), write_clip(folder / "short.mp4", swinging(12))
    plan = disc_plan(folder, [red, blue], [long, short], engine={"threads": 1})
    assert run_plan(plan, disc_registry(), Console(file=StringIO())).exit_code == 0
    return Inputs(red, blue, long, short, {job.output.name: pictures_of(job.output) for job in plan.jobs})


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Three nodes of one core each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", PATHS)
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False})
        made.add_node(num_cpus=1, object_store_memory=STORE)
        ray.init(address=made.address, log_to_driver=False)
        yield made
        ray.shutdown()
        made.shutdown()


def check_results(plan: Any, inputs: Inputs) -> None:
    """All results are there, are those of an undisturbed run, and nothing else is."""
    for job in plan.jobs:
        assert pictures_of(job.output) == inputs.digests[job.output.name], job.output.name
    assert not [p.name for p in Path(plan.pipeline.output.folder).iterdir() if p.name.startswith(".")]


def when(condition: Callable[[], bool], action: Callable[[], None]) -> threading.Thread:
    """Do something from another thread as soon as a condition holds."""

    def wait() -> None:
        deadline = time.monotonic() + 60
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.02)
        action()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def settled(count: Callable[[], int]) -> int:
    """A count, once it has stood still for a second."""
    known, since = count(), time.monotonic()
    while time.monotonic() - since < 1.0:
        time.sleep(0.05)
        if (now := count()) != known:
            known, since = now, time.monotonic()
    return known


def test_a_worker_killed_in_the_middle_of_a_span_is_replaced(tmp_path: Path, cluster: Any, inputs: Inputs, screen: Any) -> None:
    plan = ray_plan(tmp_path, [inputs.red], [inputs.long, inputs.short], {"die_once": True})
    report = run_plan(plan, risky_registry(), screen.console)
    assert report.exit_code == 0, screen.text
    check_results(plan, inputs)
    assert (report.pool.lost, report.pool.started) == (1, 3)
    assert "its work is done again elsewhere" in screen.text
    assert [what for what, _, _ in log_lines(tmp_path)].count("die") == 1
    assert 75 + 12 + 1 <= frames_of(tmp_path, "decompose") <= 75 + 12 + 1 + SPAN  # one answer may have been on its way when its worker died
    assert frames_of(tmp_path, "render") == 75 + 12  # the killed span had not got beyond its first batch


def test_a_node_that_goes_takes_only_unfinished_spans_along(tmp_path: Path, cluster: Any, inputs: Inputs, screen: Any) -> None:
    """One of the two nodes goes while both render."""
    plan = ray_plan(tmp_path, [inputs.red], [inputs.long, inputs.short], {"slow": 0.18})
    node = next(n for n in cluster.list_all_nodes() if n is not cluster.head_node)

    def both_render() -> bool:
        return len({process for what, process, _ in log_lines(tmp_path) if what == "render"}) == 2

    thread = when(both_render, lambda: cluster.remove_node(node, allow_graceful=False))
    report = run_plan(plan, risky_registry(), screen.console)
    thread.join()
    cluster.add_node(num_cpus=1, object_store_memory=STORE)
    assert report.exit_code == 0, screen.text
    check_results(plan, inputs)
    assert [w.ended for w in report.pool.workers if "node" in w.ended], report.pool
    assert 75 + 12 + 1 <= frames_of(tmp_path, "decompose") <= 75 + 12 + 1 + 2 * SPAN
    assert 75 + 12 <= frames_of(tmp_path, "render") <= 75 + 12 + 3 * SPAN  # two spans were on it, a third perhaps not yet fetched


SCRIPT = """
import sys
from pathlib import Path
from rich.console import Console
from ray_discs import ray_plan, risky_registry
from pipelines.runs import film
from pipelines.runs.run import run_plan

film.SEGMENT = 10
folder, address, out, sources, *files = sys.argv[1:]
count = int(sources)
options = {"slow": 0.12} if out == "out" else {}
plan = ray_plan(Path(folder), [Path(f) for f in files[:count]], [Path(f) for f in files[count:]], options, ray={"address": address, "max_actors": 1},
                output={"folder": str(Path(folder) / out)})
sys.exit(run_plan(plan, risky_registry(), Console(width=200)).exit_code)
"""


def driver(folder: Path, cluster: Any, out: str, sources: Sequence[Path], driving: Sequence[Path]) -> subprocess.Popen[str]:
    """A run in a process of its own."""
    command = [sys.executable, "-c", SCRIPT, str(folder), cluster.address, out, str(len(sources)), *map(str, [*sources, *driving])]
    environment = {**os.environ, "PYTHONPATH": PATHS}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_killed_driver_goes_on_where_it_was(tmp_path: Path, cluster: Any, inputs: Inputs, screen: Any) -> None:
    process = driver(tmp_path, cluster, "out", [inputs.red, inputs.blue], [inputs.long])
    out = tmp_path / "out"
    try:
        deadline = time.monotonic() + 60
        while not (list(out.glob("[rb]*.mp4")) and list(out.glob(".*.part-*"))):  # one is finished, the other in the making
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    finished = {p: p.stat().st_mtime_ns for p in out.glob("[rb]*.mp4")}
    assert len(finished) == 1
    assert all(pictures_of(p) == inputs.digests[p.name] for p in finished)
    rendered = settled(lambda: frames_of(tmp_path, "render"))  # the batches that were being rendered end with their workers
    report = run_plan(ray_plan(tmp_path, [inputs.red, inputs.blue], [inputs.long], {"slow": 0.12}), risky_registry(), screen.console)
    assert sorted(j.status for j in report.jobs) == ["done", "skipped"], screen.text
    check_results(ray_plan(tmp_path, [inputs.red, inputs.blue], [inputs.long]), inputs)
    assert {p: p.stat().st_mtime_ns for p in finished} == finished
    assert frames_of(tmp_path, "decompose") == 75 + 2 + 1  # the portrait of the one that is left again, no clip
    assert frames_of(tmp_path, "render") - rendered == 75


def test_ctrl_c_keeps_what_is_finished_and_leaves_nothing_half_made(tmp_path: Path, cluster: Any, inputs: Inputs) -> None:
    process = driver(tmp_path, cluster, "out", [inputs.red, inputs.blue], [inputs.short, inputs.long])
    out = tmp_path / "out"
    try:
        deadline = time.monotonic() + 60
        while not list(out.glob("[rb]*.mp4")):
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        asked = time.monotonic()
        text = process.communicate(timeout=30)[0]
        assert time.monotonic() - asked < 15
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert process.returncode == 130, text
    assert "Traceback" not in text
    assert "FAILED" not in text
    statuses = [job["status"] for job in json.loads((out / "report.json").read_text())["jobs"]]
    assert set(statuses) == {"done", "left"}
    assert sorted(p.name for p in out.iterdir() if p.suffix == ".mp4") == sorted(p.name for p in out.glob("[rb]*.mp4"))
    assert len(list(out.glob("[rb]*.mp4"))) == statuses.count("done")


def test_a_poison_clip_is_set_aside_and_the_rest_is_finished(tmp_path: Path, cluster: Any, inputs: Inputs, screen: Any) -> None:
    frames = [[attrs.evolve(disc, tint=POISON_TINT) for disc in row] for row in swinging(10)]
    bad = write_clip(tmp_path / "bad.mp4", frames)
    plan = ray_plan(tmp_path / "p", [inputs.red, inputs.blue], [bad, inputs.short], {"poison": True}, ray={"retries": 1})
    report = run_plan(plan, risky_registry(), screen.console)
    assert report.exit_code == 1
    assert [j.status for j in report.jobs] == ["failed", "done", "failed", "done"], screen.text
    for job in (report.jobs[0], report.jobs[2]):
        assert job.error is not None
        assert "set aside: it brought down its worker 2 times" in job.error.what
        assert "bad.mp4" in job.error.where
    lives = len([what for what, _, _ in log_lines(tmp_path / "p") if what == "poison"])
    assert lives == 2
    assert report.pool.lost == lives
    good = [job for job in plan.jobs if job.driving == inputs.short]
    check_results(attrs.evolve(plan, jobs=tuple(good)), inputs)
    assert not any(job.output.exists() for job in plan.jobs if job.driving == bad)


def test_what_a_slow_worker_holds_is_handed_over(tmp_path: Path, cluster: Any, inputs: Inputs, screen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_pool, "SLOW_AT_LEAST", 0.5)
    plan = ray_plan(tmp_path, [inputs.red], [inputs.long], {"slow_by": 5.0})
    report = run_plan(plan, risky_registry(), screen.console)
    assert report.exit_code == 0, screen.text
    check_results(plan, inputs)
    assert report.pool.handed_over >= 1
    assert report.jobs[0].wall < 3 * 5.0  # a single span takes the slow one three batches of five seconds


def test_a_full_disk_on_one_node_moves_its_work_elsewhere(tmp_path: Path, cluster: Any, inputs: Inputs, screen: Any) -> None:
    plan = ray_plan(tmp_path, [inputs.red], [inputs.long, inputs.short], {"full": True})
    report = run_plan(plan, risky_registry(), screen.console)
    assert report.exit_code == 0, screen.text
    check_results(plan, inputs)
    assert [w.ended for w in report.pool.workers if "No space left" in w.ended]
    full = [process for what, process, _ in log_lines(tmp_path) if what == "full"]
    assert len(set(full)) == 1
    assert len(full) <= 2  # the span it was at, and the one it held ahead


def test_full_disks_everywhere_fail_the_job_with_their_own_words(tmp_path: Path, cluster: Any, inputs: Inputs, screen: Any) -> None:
    plan = ray_plan(tmp_path, [inputs.red], [inputs.short], {"full": True}, ray={"max_actors": 1, "retries": 0})
    report = run_plan(plan, risky_registry(), screen.console)
    assert report.exit_code == 1
    error = report.jobs[0].error
    assert error is not None
    assert error.what == "No space left on device"
    assert "free some space" in error.fix
    assert not plan.jobs[0].output.exists()


def test_two_runs_on_one_cluster_share_a_cache_folder(tmp_path: Path, cluster: Any, inputs: Inputs, screen: Any, capsys: Any) -> None:
    """Both decompose the same clips at the same time on different nodes; one entry of each is left, whole."""
    other = driver(tmp_path, cluster, "other", [inputs.red], [inputs.long, inputs.short])
    plan = ray_plan(tmp_path, [inputs.red], [inputs.long, inputs.short], ray={"max_actors": 1})
    report = run_plan(plan, risky_registry(), screen.console)
    text = other.communicate(timeout=60)[0]
    assert (report.exit_code, other.returncode) == (0, 0), text
    check_results(plan, inputs)
    for job in plan.jobs:
        assert pictures_of(tmp_path / "other" / job.output.name) == inputs.digests[job.output.name]
        assert read_metadata(job.output)
    entries = list((tmp_path / "cache" / "v1").glob("??/*"))
    assert len(entries) == 2 * 3  # track, times, motion
    assert not list((tmp_path / "cache" / "v1").glob("tmp/*"))
    assert cache_command(["verify", "--folder", str(tmp_path / "cache")]) == 0, capsys.readouterr().out
