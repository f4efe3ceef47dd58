"""Ray Train: one function on several workers, each a process of a torch process group. Training's only place that imports ray."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import torch

from mmfa_components.errors import PackageError, TrainingError
from pipelines.engines.ray_cluster import WORKERS

RETURNED = "returned.json"


@attrs.frozen
class Place:
    """Where a worker function runs: its rank among ``world`` workers, its device, and the checkpoint folder of an earlier try.

    keep(folder, files, step): hand the named files of ``folder`` to Ray as the newest checkpoint; every worker has to call it.
    """

    rank: int
    world: int
    device: torch.device
    resumed: Path | None
    keep: Callable[[Path, tuple[str, ...], int], None]


def run_workers(
    function: Callable[[Any, Place], Any], config: Any, *, workers: int, gpu: bool, name: str, storage: Path, address: str = "", failures: int = 3
) -> Any:
    """Run ``function(config, place)`` on every worker; what the first one returns, which must be plain JSON data.

    A run of the same name and storage goes on from the last checkpoint handed to Ray. A worker that dies or fails is started
    again, ``failures`` times in all.
    Raises PackageError when Ray is missing, TrainingError when the workers fail.
    """
    try:
        import ray
        from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer
    except ImportError as error:
        raise PackageError(f"Ray Train cannot be imported ({error})", where="scale.engine", fix="pip install 'mmfa[train]'") from error
    started = not ray.is_initialized()
    if started:
        here: dict[str, Any] = {} if address else {"num_cpus": max(workers + 1, torch.get_num_threads()), "include_dashboard": False}
        ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, runtime_env=WORKERS, **here)
    try:
        trainer = TorchTrainer(
            _on_worker,
            train_loop_config={"function": function, "config": config},
            torch_config=TorchConfig(backend="nccl" if gpu else "gloo"),
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpu, resources_per_worker=None if gpu else {"CPU": 1}),
            run_config=RunConfig(
                name=name,
                storage_path=str(storage.resolve()),
                failure_config=FailureConfig(max_failures=failures),
                checkpoint_config=CheckpointConfig(num_to_keep=2),
            ),
        )
        result = trainer.fit()
    except Exception as error:  # Ray wraps whatever a worker raises
        text = str(error).strip().splitlines()
        what = f"the workers failed: {text[-1] if text else type(error).__name__}"
        raise TrainingError(what, where="Ray Train", fix="run the same command again: it goes on from the last checkpoint") from error
    finally:
        if started:
            ray.shutdown()
    if result.checkpoint is None:
        raise TrainingError("the workers ended without a result", where="Ray Train", fix=f"see the logs below {storage / name}")
    with result.checkpoint.as_directory() as folder:
        return json.loads((Path(folder) / RETURNED).read_text(encoding="utf-8"))


def _on_worker(loop_config: dict[str, Any]) -> None:
    import ray.train
    import ray.train.torch

    context = ray.train.get_context()
    checkpoint = ray.train.get_checkpoint()

    newest: dict[Path, bytes] = {}

    def hand_over(files: dict[str, bytes], metrics: dict[str, Any]) -> None:
        if context.get_world_rank() != 0:
            ray.train.report(metrics)
            return
        with tempfile.TemporaryDirectory() as copy:
            for name, content in files.items():
                (Path(copy) / name).write_bytes(content)
            ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(copy))

    def keep(folder: Path, files: tuple[str, ...], step: int) -> None:
        newest.clear()
        if context.get_world_rank() == 0:
            newest.update({folder / file: (folder / file).read_bytes() for file in files})
        hand_over({path.name: content for path, content in newest.items()}, {"step": step})

    def call(resumed: Path | None) -> Any:
        device = ray.train.torch.get_device()
        if device.type == "cuda":
            torch.cuda.set_device(device)  # for whatever speaks of the GPU without naming it
        return loop_config["function"](loop_config["config"], Place(context.get_world_rank(), context.get_world_size(), device, resumed, keep))

    if checkpoint is None:
        returned = call(None)
    else:
        with checkpoint.as_directory() as folder:
            returned = call(Path(folder))
    kept = {path.name: content for path, content in newest.items()}
    hand_over({**kept, RETURNED: json.dumps(returned).encode()}, {"finished": True})
