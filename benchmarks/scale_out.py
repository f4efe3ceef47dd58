"""``python -m benchmarks.scale_out``: how the Ray engine scales. Prints tables and writes them as JSON (--out).

simulation: 1 to 64 workers in virtual time, the real order of work, thousands of short clips and a few hour-long ones.
overhead: real Ray actors whose model is a sleep; what a span costs beyond it.
films: one long result among short ones, encoded by real actors whose animator is a sleep.
real: the shipped system on the demo clip with 1 and 2 workers of one CPU thread each.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from io import StringIO
from pathlib import Path
from typing import Any

import attrs
import torch
from rich.console import Console

from benchmarks.demo_clips import ASSETS
from benchmarks.sleeping import SleepUnit, sleep_span, sleeping_pipeline, sleeping_registry
from mmfa_components.records import Motion
from mmfa_components.registry import load_registry
from pipelines.config.schema import Cache, Engine, Job, Output, Pipeline, Plan, Ray
from pipelines.engines.ray_engine import RayEngine
from pipelines.engines.schedule import RANK
from pipelines.media import VideoWriter, content_digest, open_video
from pipelines.runs.film import Film, segments, write_film
from pipelines.runs.run import run_plan
from pipelines.runs.simulate import Model, simulate
from pipelines.runs.steps import Costs
from pipelines.stages.render import RenderUnit

PARTS = ["simulation", "overhead", "films", "real"]
SHORT, HOURS = 3000, 4
COSTS = Costs(0.004, 0.004, 0.006)
"""Seconds a frame on one GPU worker in the simulation: tracked, decomposed, rendered. Ratios, not these seconds, decide the efficiency."""


def simulation(workers: list[int]) -> list[dict[str, Any]]:
    """Efficiency by number of workers. Clips of 4 to 20 s (100 to 500 frames) and some of an hour (90,000 frames), a result each."""
    draw = random.Random(0)
    clips: dict[Any, int] = {f"short{i}": draw.randint(100, 500) for i in range(SHORT)} | {f"hour{i}": 90_000 for i in range(HOURS)}
    jobs = [((key,), frames) for key, frames in clips.items()]
    rows = []
    for count in workers:
        begun = time.perf_counter()
        outcome = simulate(clips, jobs, Model(COSTS, write=0.002, workers=count, writers=16))
        best = outcome.busy / (count * outcome.bound)
        rows.append(
            {
                "workers": count, "wall_s": round(outcome.wall), "bound_s": round(outcome.bound), "efficiency": round(outcome.efficiency, 3),
                "efficiency_of_the_bound": round(best, 3), "simulated_in_s": round(time.perf_counter() - begun, 2),
            }
        )  # fmt: skip
    return rows


def overhead(actors: list[int], spans: int, seconds: float) -> list[dict[str, Any]]:
    """Milliseconds a span of sleeping actors takes beyond its sleep, with no result and with one of 64 frames of 256 x 256."""
    rows = []
    for count in actors:
        engine = RayEngine(sleeping_pipeline(count), sleeping_registry(), lambda frames: None)
        try:
            units = [SleepUnit(0.0)] * count * 4
            while len(engine._pool.schedule.loads) < count:  # all actors are up
                list(engine.map(sleep_span, units))
            for side in (0, 256):
                list(engine.map(sleep_span, [SleepUnit(0.0, side=side)] * count))
                begun = time.perf_counter()
                done = sum(1 for _ in engine.map(sleep_span, [SleepUnit(seconds, side=side)] * spans))
                wall = time.perf_counter() - begun
                assert done == spans
                beyond = (wall * count - seconds * spans) / spans
                rows.append(
                    {
                        "actors": count, "spans": spans, "sleep_ms": seconds * 1000, "result_mb": round(side * side * 3 * 64 / 1e6, 1),
                        "wall_s": round(wall, 2), "worker_ms_beyond_sleep_per_span": round(1000 * beyond, 2),
                        "wall_ms_beyond_per_span": round(1000 * (wall - seconds * spans / count) / spans, 2),
                        "efficiency": round(seconds * spans / (wall * count), 3),
                    }
                )  # fmt: skip
        finally:
            engine.close()
    return rows


def films(actors: list[int], long: int, short: int, count: int, seconds: float) -> list[dict[str, Any]]:
    """A result of ``long`` frames among ``count`` of ``short``, each frame of which sleeps for ``seconds``; files are real."""
    rows, digests = [], []
    lengths = [long] + [short] * count
    for workers in actors:
        engine = RayEngine(sleeping_pipeline(workers, seconds), sleeping_registry(), lambda frames: None)
        try:
            while len(engine._pool.schedule.loads) < workers:  # all actors are up
                list(engine.map(sleep_span, [SleepUnit(0.0)] * workers * 4))
            with tempfile.TemporaryDirectory(prefix="mmfa-bench-") as name:
                paths = [Path(name) / f"{number}.mp4" for number in range(len(lengths))]
                begun = time.perf_counter()
                with ThreadPoolExecutor(len(lengths)) as pool:
                    list(pool.map(_film, itertools.repeat(engine), paths, lengths))
                wall = time.perf_counter() - begun
                digests.append([content_digest(path) for path in paths])
        finally:
            engine.close()
        best = seconds * sum(lengths) / workers
        rows.append(
            {
                "workers": workers, "frames": sum(lengths), "longest": long, "sleep_ms": seconds * 1000, "wall_s": round(wall, 2),
                "efficiency": round(best / wall, 3), "same_bytes": digests[-1] == digests[0],
            }
        )  # fmt: skip
    return rows


def _film(engine: RayEngine, path: Path, frames: int) -> None:
    """Render and write one result, the longest first."""
    RANK.set((-float(frames),))
    turn = torch.arange(frames) / 20
    move = torch.stack([turn.sin(), turn.cos(), 0 * turn], 1) / 2
    still = torch.eye(3).expand(frames, 3, 3)
    motion = Motion(still, torch.ones(frames), move, torch.zeros(frames, 2))
    units = [RenderUnit(a, motion[a:b], motion[:1], motion[:1]) for a, b in segments(frames)]
    rate = Fraction(25)
    film = Film(path, 1 / rate, rate, lambda first, stop: list(range(first, stop)), None, {})
    empty: Any = None
    write_film(engine, film, units, empty, Output())


def real(actors: list[int], clips: int, frames: int) -> list[dict[str, Any]]:
    """The shipped system on pieces of the demo clip."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="mmfa-bench-") as name:
        folder = Path(name)
        pieces = cut(folder, clips, frames)
        for count in actors:
            engine = Engine(name="ray", device="cpu", precision="float32", span=16, threads=1, ray=Ray(cpus=1.0, max_actors=count))
            out = folder / str(count)
            pipeline = Pipeline(output=Output(str(out), contact_sheet=""), cache=Cache(str(out / "cache")), engine=engine)
            portrait = ASSETS / "portraits" / "hiker.jpg"
            plan = Plan(pipeline, tuple(Job(portrait, piece, out / f"{piece.stem}.mp4") for piece in pieces), folder / "bench.toml")
            report = run_plan(plan, load_registry(), Console(file=StringIO()))
            assert report.exit_code == 0, report.to_json()
            assert report.pool is not None
            wall = report.wall - report.start_seconds
            shares = [w.busy_share for w in report.pool.workers]
            rows.append({"workers": count, "frames": clips * frames, "wall_s_without_start": round(wall, 1), "start_s": report.start_seconds,
                         "frames_per_s": round(clips * frames / wall, 2), "busy_shares": shares})  # fmt: skip
    return rows


def cut(folder: Path, clips: int, frames: int) -> list[Path]:
    """Pieces of the demo clip, ``frames`` each."""
    pieces = []
    with open_video(ASSETS / "clips" / "laughing_woman.mp4") as reader:
        info = reader.info
        for number, span in zip(range(clips), reader.spans(frames), strict=False):
            path = folder / f"piece{number}.mp4"
            with VideoWriter(path, info.width, info.height, info.time_base, info.rate, quality=12) as writer:
                writer.write(span.rgb, list(span.pts))
            pieces.append(path)
    return pieces


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale_out", description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", default=PARTS, help=", ".join(PARTS))
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 2, 4, 8], help="real actors that sleep")
    parser.add_argument("--spans", type=int, default=160, help="a multiple of the actors, so that no last round is half empty")
    parser.add_argument("--sleep", type=float, default=0.1, help="seconds a span sleeps")
    parser.add_argument("--long", type=int, default=2560, help="frames of the long result")
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    known: dict[str, Any] = {"python": sys.version.split()[0], "costs_s_per_frame": attrs.asdict(COSTS)}
    if "simulation" in options.parts:
        known["simulation"] = simulation([1, 2, 4, 8, 16, 32, 64])
    if "overhead" in options.parts:
        known["overhead"] = overhead(options.actors, options.spans, options.sleep)
    if "films" in options.parts:
        known["films"] = films([1, 2, 4], options.long, 100, 12, 0.01)
    if "real" in options.parts:
        known["real"] = real([1, 2], options.clips, options.frames)
    for part in PARTS:
        for row in known.get(part, []):
            print(part, *(f"{key}={value}" for key, value in row.items()), flush=True)
    if options.out:
        options.out.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
