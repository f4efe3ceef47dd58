"""``python -m benchmarks.ray_gpus``: a whole batch under Ray on 1, 2 and more GPUs of this machine, many short clips and one of minutes.

    python -m benchmarks.ray_gpus --gpus 1 2 --clips 40 --frames 60 --long-frames 4500 --portraits 1 --actors-per-gpu 2 --out ray_gpus.json
    python -m benchmarks.ray_gpus --rehearse                                        a small run, with CPU actors in place of GPUs

All clips are made from the demo clip, going to and fro through it, each from another frame on; making them is not timed. Every number of
GPUs runs in a process of its own that sees no more of them (CUDA_VISIBLE_DEVICES). A row of JSON for each:

frames_per_s, efficiency: rendered frames a second end to end, from the first actor that is ready to the last file and the end of Ray;
against the first row's a GPU.  computing_s, efficiency_of_computing: the same without the end of Ray, which takes about a second.
gpus: by GPU, the share of the time in which it computed anything and its memory (nvidia-smi every 0.2 s), its actors' own busy share,
and units_frames_per_s, frames they followed, decomposed and rendered a second, each counted.
tail_s: from the moment the first actor has nothing more to do until the last one has.  write_tail_s: from then until the last file is written.
Stages, rates and the rest as in benchmarks.ray_gpu.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.demo_clips import make_clips
from benchmarks.gpu_watch import GpuWatch
from benchmarks.ray_gpu import whole
from benchmarks.settings import Row, run_settings, write_row
from pipelines.config.schema import Engine, Ray


def here(gpus: int, per_gpu: int, batch: int, threads: int, portraits: int, clips: Path, rehearse: bool) -> Row:
    """One number of GPUs, which are all that this process sees; when rehearsing, as many actors on the CPU."""
    actors = gpus * per_gpu
    ray = Ray(min_actors=actors, max_actors=actors, cpus=1.0, gpus=0.0 if rehearse else round(1 / per_gpu, 4))
    engine = Engine(name="ray", batch=batch, ray=ray, threads=threads, device="cpu" if rehearse else "cuda")
    pieces = sorted(clips.glob("*.mp4"), reverse=True)  # the long one last: the order of work is the batch's own affair
    with tempfile.TemporaryDirectory(prefix="mmfa-bench-") as folder, GpuWatch() as watch:
        begun = time.monotonic()
        row = whole(engine, pieces, portraits, Path(folder))
        since = begun + row["start_s"]
        shares = watch.shares(since, since + row["computing_s"])
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    seen = {gpu: figures for gpu, figures in shares.items() if gpu in visible}
    return {"gpus_used": gpus, "actors_per_gpu": per_gpu, "batch": batch, **row, "gpus": by_gpu(row, seen), **tails(row)}


def by_gpu(row: Row, seen: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What was seen of each GPU, with the mean busy share of its actors and the frames they did a second."""
    found: dict[str, dict[str, Any]] = {}
    for gpu in sorted({*seen, *row["gpu_of_actor"]}):
        own = [n for n, known in enumerate(row["gpu_of_actor"]) if known == gpu]
        shares = [row["busy_share"][n] for n in own]
        figures = {"actors_busy_share": round(sum(shares) / len(own), 3)} if own else {}
        found[gpu or "cpu"] = {**seen.get(gpu, {}), **figures, "units_frames_per_s": round(sum(row["actor_rates"][n] for n in own), 2)}
    return found


def tails(row: Row) -> Row:
    """Seconds in which only some actors had work left, and in which none had."""
    idle = row["idle_at_end_s"]
    return {"tail_s": round(max(idle) - min(idle), 2), "write_tail_s": round(min(idle), 2)}


def completed(row: Row, before: list[Row]) -> Row:
    """A row with its efficiency against the first row that worked."""
    if "error" in row:
        return row
    first = next((r for r in before if "error" not in r), row)
    more = row["gpus_used"] / first["gpus_used"]
    ends, computes = row["frames_per_s"] / first["frames_per_s"], first["computing_s"] / row["computing_s"]
    return {**row, "efficiency": round(ends / more, 3), "efficiency_of_computing": round(computes / more, 3)}


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--actors-per-gpu", type=int, default=2)
    parser.add_argument("--clips", type=int, default=40, help="short clips")
    parser.add_argument("--frames", type=int, default=60, help="of a short clip")
    parser.add_argument("--long-frames", type=int, default=4500, help="of the long clip, 0: none; the demo clip has 24 a second")
    parser.add_argument("--portraits", type=int, default=1, help="each is moved by every clip")
    parser.add_argument("--batch", type=int, default=0, help="frames a network sees at once, 0: what suits the GPU")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads of torch in an actor, 0: torch's own choice, as in the product")
    parser.add_argument("--rehearse", action="store_true", help="a small run with CPU actors")
    parser.add_argument("--limit", type=float, default=270.0, help="seconds one number of GPUs may take")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--made", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--row", type=Path, help=argparse.SUPPRESS)
    given = sys.argv[1:] if arguments is None else arguments
    options = parser.parse_args(given)
    if options.rehearse:
        options.clips, options.frames, options.long_frames, options.portraits, options.batch = 3, 4, 12, 1, 2
        options.actors_per_gpu = options.threads = 1
    if options.row:
        row = here(options.gpus[0], options.actors_per_gpu, options.batch, options.threads, options.portraits, options.made, options.rehearse)
        write_row(options.row, row)
        return 0
    cards = [c for c in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if c] or [str(n) for n in range(torch.cuda.device_count())]
    if not options.rehearse and len(cards) < max(options.gpus):
        print(f"{len(cards)} GPUs here, {max(options.gpus)} asked for: --rehearse makes a small run on the CPU", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="mmfa-bench-") as name:
        begun = time.monotonic()
        made = make_clips(Path(name), options.clips, options.frames, options.long_frames)
        seconds = round(time.monotonic() - begun, 1)
        print(f"{len(made)} clips, {options.clips * options.frames + options.long_frames} frames, made in {seconds} s", flush=True)
        sizes = {"clips": len(made), "frames": options.frames, "long_frames": options.long_frames}
        facts = {"torch": torch.__version__, "cores": os.cpu_count(), **sizes}
        sees = [{} if options.rehearse else {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": ",".join(cards[:n])} for n in options.gpus]
        settings = [(["--gpus", str(n), "--made", name], environment) for n, environment in zip(options.gpus, sees, strict=True)]
        rows = run_settings("benchmarks.ray_gpus", given, settings, facts=facts, limit=options.limit, complete=completed, out=options.out)
    return 1 if any("error" in row for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
