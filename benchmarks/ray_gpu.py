"""``python -m benchmarks.ray_gpu``: the whole batch under Ray with 1, 2 and 4 actors on one GPU, beside what the model alone can do.

One command on a machine with a GPU::

    python -m benchmarks.ray_gpu --out ray_gpu.json

Runs the shipped system on clips made of the demo clip (tracking, decomposing, rendering, encoding, results written), once in this
process and once for each number of actors. Beside it everything that touches the GPU is timed alone, one thing after the other, on the
same batch size: following, cropping, both networks, and the ways to the device and back (``alone_ms_per_frame``). The stages of the run
report (``stage_ms_per_rendered_frame``) add what the CPU does: decoding and writing. ``--rehearse`` is a small run for a CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks.demo_clips import ASSETS, make_clips
from benchmarks.training_speed import clock
from mmfa_components.geometry.squares import crop_squares, square_of_landmarks
from mmfa_components.records import FaceRegions, Frames
from mmfa_components.registry import load_registry
from pipelines.config.schema import Cache, Engine, Face, Job, Output, Pipeline, Plan, Ray
from pipelines.media import open_video
from pipelines.runs.run import run_plan
from pipelines.stages.components import build_components, resolve_batch, resolve_device
from pipelines.stages.crop import crop_frames, crop_landmarks, face_boxes, stable_square
from pipelines.stages.frames import to_bytes, to_float
from pipelines.stages.track import REGION_RATIO, FaceTracker, no_face
from pipelines.stages.worker import Worker


def alone(engine: Engine, clip: Path, repeats: int) -> dict[str, Any]:
    """Milliseconds a frame of each thing that runs on the device, nothing beside it; ``networks``: decompose and render, frames a second."""
    components = build_components(Pipeline(engine=engine), load_registry())
    device, animator = components.device, components.animator
    batch = resolve_batch(engine.batch, device)
    size, face = animator.crop_size, Face()
    with open_video(clip) as reader:
        full = next(iter(reader.spans(batch))).rgb  # (batch, H, W, 3) uint8
    with torch.inference_mode():
        frames = Frames(to_float(full, device))
        seen = FaceTracker(Worker(components, batch), face, str(clip), face.min_score).faces(frames.rgb)
        track = seen.rows
        if track is None or not all(seen.found):
            raise no_face(clip, "video")
        square = stable_square(face_boxes(track), face.crop_ratio)
        squares, regions = square.to(device).expand(batch, 4), FaceRegions(square_of_landmarks(track.points, REGION_RATIO).to(device))
        crops, landmarks = crop_frames(full, square, size, device), crop_landmarks(track, square, size, device)
        identity, motion = animator.encode(crops[:1]), animator.decompose(crops, landmarks)
        results = animator.render(identity, motion[:1], motion)
        works: dict[str, Callable[[], object]] = {
            "to the device": lambda: to_float(full, device),
            "detect faces": lambda: components.detector(frames),
            "landmarks": lambda: components.landmarks(frames, regions),
            "crop": lambda: crop_squares(frames.rgb, squares, size),
            "decompose": lambda: animator.decompose(crops, landmarks),
            "render": lambda: animator.render(identity, motion[:1], motion),
            "to the CPU": lambda: to_bytes(results.rgb),
        }
        spent = {name: timed(work, device, repeats) / batch for name, work in works.items()}
    card = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    networks = 1 / (spent["decompose"] + spent["render"])
    known = {"batch": batch, "device": card, "frame": list(full.shape[1:3]), "networks_frames_per_s": round(networks, 2)}
    return {**known, "alone_ms_per_frame": {name: round(1000 * seconds, 3) for name, seconds in spent.items()}}


def timed(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Seconds of one call, the mean of ``repeats`` after a few others."""
    for _ in range(3 if device.type == "cuda" else 1):
        work()
    begun = clock(device)
    for _ in range(repeats):
        work()
    return (clock(device) - begun) / repeats


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
    parser.add_argument("--frames", type=int, default=60, help="frames of a clip")
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
    known: dict[str, Any] = {"torch": torch.__version__, "cores": os.cpu_count(), "runs": [], "alone": []}
    with tempfile.TemporaryDirectory(prefix="mmfa-bench-") as name:
        folder = Path(name)
        pieces = make_clips(folder, options.clips, options.frames)
        for batch in options.batch:
            settings = {"batch": batch, "threads": 0 if gpu else 1}
            known["alone"].append(alone(Engine(**settings), pieces[0], options.repeats))
            print("alone", json.dumps(known["alone"][-1]), flush=True)
            for actors in (0, *options.actors):
                ray = Ray(min_actors=actors, max_actors=actors, cpus=1.0, gpus=round(1 / actors, 4) if gpu and actors else 0.0)
                engine = Engine(name="ray" if actors else "in_process", ray=ray, **settings)
                row = {"batch": batch, **whole(engine, pieces, options.portraits, folder / f"{batch}-{actors}")}
                known["runs"].append(row)
                print(json.dumps(row), flush=True)
                if options.out:  # after each: a run that is cut short keeps what it has
                    options.out.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
