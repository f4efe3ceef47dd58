"""``python -m benchmarks.ray_gpu``: the whole batch under Ray with 1, 2 and 4 actors on one GPU, beside what the model alone can do.

One command on a machine with a GPU::

    python -m benchmarks.ray_gpu --out ray_gpu.json

Runs the shipped system on pieces of the demo clip (tracking, decomposing, rendering, encoding, results written), once in this
process and once for each number of actors, then times the networks alone on the same batch size. The gap between both is split
into decode, track, crop and decompose, render, transfer and encode by the run report. ``--rehearse`` is a small run for a CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks.scale_out import ASSETS, cut
from mmfa_components.records import Frames, MeshLandmarks
from mmfa_components.registry import load_registry
from pipelines.config.schema import Cache, Engine, Job, Output, Pipeline, Plan, Ray
from pipelines.engines import run_plan
from pipelines.stages.components import build_components, resolve_batch, resolve_device
from pipelines.stages.frames import to_bytes


def model_only(engine: Engine, repeats: int) -> dict[str, Any]:
    """Frames a second of the networks on data that is on the device already: decompose, render, and with the copy to the CPU."""
    components = build_components(Pipeline(engine=engine), load_registry())
    device, animator = components.device, components.animator
    batch = resolve_batch(engine.batch, device)
    size = animator.crop_size
    crops = Frames(torch.rand(batch, 3, size, size, device=device))
    landmarks = MeshLandmarks(torch.rand(batch, 478, 3, device=device) * size, torch.ones(batch, device=device))
    with torch.inference_mode():
        identity = animator.encode(Frames(crops.rgb[:1]))
        motion: Any = animator.decompose(crops, landmarks)
        works = {
            "decompose": lambda: animator.decompose(crops, landmarks),
            "render": lambda: animator.render(identity, motion[:1], motion),
            "render_and_copy": lambda: to_bytes(animator.render(identity, motion[:1], motion).rgb),
        }
        rates: dict[str, Any] = {"batch": batch, "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu"}
        for name, work in works.items():
            for _ in range(3 if device.type == "cuda" else 1):
                work()
            _wait(device)
            begun = time.perf_counter()
            for _ in range(repeats):
                work()
            _wait(device)
            rates[f"{name}_frames_per_s"] = round(batch * repeats / (time.perf_counter() - begun), 2)
    both = 1 / rates["decompose_frames_per_s"] + 1 / rates["render_frames_per_s"]
    return {**rates, "decompose_and_render_frames_per_s": round(1 / both, 2)}


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def whole(engine: Engine, pieces: list[Path], portraits: int, folder: Path) -> dict[str, Any]:
    """One run of the whole pipeline: frames a second end to end without loading, and the seconds of every stage of every frame."""
    pipeline = Pipeline(output=Output(str(folder), contact_sheet=""), cache=Cache(str(folder / "cache")), engine=engine)
    sources = sorted((ASSETS / "portraits").glob("*"))[:portraits]
    jobs = tuple(Job(s, p, folder / f"{s.stem}__{p.stem}.mp4") for s in sources for p in pieces)
    report = run_plan(Plan(pipeline, jobs, folder / "bench.toml"), load_registry(), Console(file=StringIO()))
    assert report.exit_code == 0, report.to_json()
    wall = report.wall - report.start_seconds
    stages: dict[str, float] = {}
    for item in [*report.inputs, *report.jobs]:
        for name, seconds in item.seconds.items():
            stages[name] = stages.get(name, 0.0) + seconds
    rendered = sum(job.frames for job in report.jobs)
    row: dict[str, Any] = {
        "engine": engine.name, "rendered_frames": rendered, "decomposed_frames": sum(i.frames for i in report.inputs if i.kind == "video"),
        "start_s": report.start_seconds, "wall_s": round(wall, 2), "frames_per_s": round(rendered / wall, 2),
        "stage_ms_per_rendered_frame": {name: round(1000 * seconds / rendered, 3) for name, seconds in sorted(stages.items())},
    }  # fmt: skip
    if report.pool is not None:
        workers = report.pool.workers
        busy, alive = sum(w.busy for w in workers), sum(w.alive for w in workers)
        row |= {
            "actors": len(workers), "busy_share": [w.busy_share for w in workers], "gpu_busy_share": [w.gpu_busy_share for w in workers],
            "waiting_ms_per_rendered_frame": round(1000 * (alive - busy) / rendered / len(workers), 3),
            "gpu_of_actor": [w.gpu for w in workers], "computing_s": max(w.alive for w in workers), "idle_at_end_s": [w.idle_at_end for w in workers],
            "actor_rates": [w.frames_per_second for w in workers], "lost": report.pool.lost, "handed_over": report.pool.handed_over,
        }  # fmt: skip
    return row


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ray_gpu", description=__doc__.split("\n")[0])
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 2, 4], help="actors on the GPU")
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--frames", type=int, default=60, help="frames of a clip; the demo clip has room for few hundred in all")
    parser.add_argument("--portraits", type=int, default=2)
    parser.add_argument("--batch", type=int, nargs="+", default=[8, 24])
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--rehearse", action="store_true", help="a small run, on whatever there is")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    if options.rehearse:
        options.clips, options.frames, options.portraits, options.batch, options.repeats, options.actors = 2, 6, 1, [2], 2, [1, 2]
    gpu = resolve_device("auto").type == "cuda"
    if not gpu and not options.rehearse:
        print("no GPU here: --rehearse makes a small run on the CPU", file=sys.stderr)
        return 2
    known: dict[str, Any] = {"torch": torch.__version__, "cores": os.cpu_count(), "runs": [], "model_only": []}
    with tempfile.TemporaryDirectory(prefix="mmfa-bench-") as name:
        folder = Path(name)
        pieces = cut(folder, options.clips, options.frames)
        for batch in options.batch:
            settings = {"batch": batch, "threads": 0 if gpu else 1}
            known["model_only"].append(model_only(Engine(**settings), options.repeats))
            print("model only", known["model_only"][-1], flush=True)
            for actors in (0, *options.actors):
                ray = Ray(min_actors=actors, max_actors=actors, cpus=1.0, gpus=round(1 / actors, 4) if gpu and actors else 0.0)
                engine = Engine(name="ray" if actors else "in_process", ray=ray, **settings)
                row = {"batch": batch, **whole(engine, pieces, options.portraits, folder / f"{batch}-{actors}")}
                known["runs"].append(row)
                print(json.dumps(row), flush=True)
    if options.out:
        options.out.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
