"""``python -m benchmarks.training_scale``: training on 1, 2 and more GPUs of this machine by Ray Train, and where the rest goes.

    python -m benchmarks.training_scale --workers 1 2 --batch 24 --steps 40 --out training_scale.json
    python -m benchmarks.training_scale --rehearse                                  a small run with CPU processes over gloo

Pictures and judging networks are random (see benchmarks.training_speed); all losses are in. A row of JSON for each number of workers:

images_per_second, efficiency: of all workers together with ``--batch`` pairs each, against the first row's a worker.
ms_alone_by_worker: a step of each worker with gradients and batch statistics kept to itself (DDP's no_sync), all of them at once.
not_synchronisation_ms: the slowest of these less a step of one worker: what sharing the machine costs.
imbalance_ms: the slowest of these less their mean.  synchronisation_ms: a step less the slowest of these, the all-reduce that the
backward pass does not hide and the waiting for each other.  all_reduce_alone_ms: all gradients in one piece, with nothing to hide behind.
pairs_ms_by_worker: drawing and making the pairs, part of the step.
losses: weighted totals of ``--loss-steps`` steps with ``--batch`` pairs over all workers, from one seed; loss_difference: the largest
relative one to the first row's. With one worker the same twice (losses_again) and from another seed, to judge a difference by. Batch
norms and the centring of eq. 7 see each worker's own share, so these curves cannot agree to the last digit; losses_by_pair, with the
norms at rest and no centring, must agree within rounding (on a GPU: of bfloat16).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.settings import Row, run_settings, write_row
from benchmarks.training_worker import Setting, measure
from pipelines.engines.ray_train import run_workers


def completed(row: Row, before: list[Row]) -> Row:
    """A row with efficiency, the parts of the lost time and the difference of the losses, all against the first row that worked."""
    if "error" in row:
        return row
    first = next((r for r in before if "error" not in r), row)
    alone = row["ms_alone_by_worker"]
    share = row["images_per_second"] / row["workers"]
    row |= {
        "efficiency": share / (first["images_per_second"] / first["workers"]),
        "ms_alone_min": min(alone),
        "ms_alone_max": max(alone),
        "synchronisation_ms": row["ms_per_step"] - max(alone),
        "imbalance_ms": max(alone) - sum(alone) / len(alone),
        "not_synchronisation_ms": max(alone) - max(first["ms_alone_by_worker"]),
        "loss_difference": difference(row["losses"], first["losses"]),
        "loss_difference_by_pair": difference(row["losses_by_pair"], first["losses_by_pair"]),
    }
    for name in ("losses_again", "losses_of_another_seed"):
        if name in row:
            row[name.replace("losses", "loss_difference")] = difference(row[name], row["losses"])
    return rounded(row)


def difference(curve: list[float], other: list[float]) -> float:
    """The largest relative difference of two curves of one length."""
    return max(abs(a - b) / max(abs(b), 1e-9) for a, b in zip(curve, other, strict=True))


def rounded(row: Row) -> Row:
    """Five digits of every number of a row."""

    def digits(value: Any) -> Any:
        if isinstance(value, list):
            return [digits(v) for v in value]
        if isinstance(value, dict):
            return {name: digits(v) for name, v in value.items()}
        return float(f"{value:.5g}") if isinstance(value, float) else value

    return {name: digits(value) for name, value in row.items()}


def here(setting: Setting, workers: int, gpu: bool) -> Row:
    """One number of workers, in this process's Ray."""
    with tempfile.TemporaryDirectory(prefix="mmfa-bench-") as storage:
        row: Row = run_workers(measure, setting, workers=workers, gpu=gpu, name="scale", storage=Path(storage), failures=0)
    return row


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="one a GPU")
    parser.add_argument("--preset", default="base")
    parser.add_argument("--batch", type=int, default=24, help="pairs a worker when timed, pairs of all workers for the losses")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--loss-steps", type=int, default=8)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--graphs", action="store_true", help="CUDA graphs")
    parser.add_argument("--rehearse", action="store_true", help="tiny networks and few steps, with CPU processes")
    parser.add_argument("--limit", type=float, default=240.0, help="seconds one number of workers may take")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--row", type=Path, help=argparse.SUPPRESS)
    given = sys.argv[1:] if arguments is None else arguments
    options = parser.parse_args(given)
    if options.rehearse:
        options.preset, options.batch, options.steps, options.loss_steps = "tiny", 4, 1, 2
    if any(options.batch % workers for workers in options.workers):
        parser.error("--batch must be a multiple of every number of --workers: the losses share it among them")
    if options.row:
        setting = Setting(options.preset, options.batch, options.steps, options.loss_steps, options.compile, options.graphs)
        write_row(options.row, here(setting, options.workers[0], not options.rehearse))
        return 0
    found = torch.cuda.device_count()
    if not options.rehearse and found < max(options.workers):
        print(f"{found} GPUs here, {max(options.workers)} asked for: --rehearse makes a small run on the CPU", file=sys.stderr)
        return 2
    names = ("preset", "batch", "steps", "compile", "graphs")
    facts = {"torch": torch.__version__, **{name: getattr(options, name) for name in names}}
    settings: list[tuple[list[str], dict[str, str]]] = [(["--workers", str(workers)], {}) for workers in options.workers]
    rows = run_settings("benchmarks.training_scale", given, settings, facts=facts, limit=options.limit, complete=completed, out=options.out)
    return 1 if any("error" in row for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
