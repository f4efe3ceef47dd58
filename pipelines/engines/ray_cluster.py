"""Joining or starting Ray, and the size of the pool that suits what it has."""

from __future__ import annotations

import logging
import os
from typing import Any

import attrs
import torch

from mmfa_components.errors import ConfigError, EngineError, PackageError
from pipelines.config.schema import Engine, Ray

GPUS_EACH = 0.5
"""Share of a GPU a worker gets by default: while one decodes, the other computes."""
WORKERS = {"worker_process_setup_hook": "mmfa.rooms.install"}
"""Ray puts the working directory before all other places of modules; a ``cache.py`` there must not stand before our ``cache``."""


@attrs.frozen
class Size:
    """A pool: actors at least and at most, cores and share of a GPU of each, CPU threads of torch in each."""

    least: int
    most: int
    cpus: float
    gpus: float
    threads: int


def connect(options: Ray) -> bool:
    """Start Ray here, or join the cluster at ``options.address`` (or $RAY_ADDRESS); True when it was started here and has to be stopped.

    Raises PluginError when Ray is not installed, EngineError when the cluster cannot be reached.
    """
    try:
        import ray
    except ImportError as error:
        raise PackageError(f"Ray cannot be imported ({error})", where="engine.name", fix="pip install 'mmfa[ray]'") from error
    if ray.is_initialized():
        return False
    here: dict[str, Any] = {}
    address = options.address or os.environ.get("RAY_ADDRESS", "")  # which a submitted job finds set
    if not address:
        here = {"include_dashboard": options.dashboard, "num_cpus": os.cpu_count()}
        if options.store_mb:
            here["object_store_memory"] = options.store_mb * 1024 * 1024
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, runtime_env=WORKERS, **here)
    except (ConnectionError, RuntimeError, ValueError) as error:
        fix = "start it (ray start --head), correct engine.ray.address, or leave it empty to start Ray here"
        if address:
            fix += "; where the cluster asks for a token, put it into ~/.ray/auth_token and set RAY_AUTH_MODE=token"
        raise EngineError(f"Ray cannot be started or joined ({error})", where=options.address or "engine.ray", fix=fix) from error
    return True


def size_of_pool(engine: Engine, resources: dict[str, float]) -> Size:
    """The pool for a cluster with these resources (as ``ray.cluster_resources()`` gives them).

    Raises ConfigError when what an actor asks for is more than there is.
    """
    options = engine.ray
    have_cpus, have_gpus = resources.get("CPU", 0.0), resources.get("GPU", 0.0)
    gpus = options.gpus if options.gpus >= 0 else (GPUS_EACH if have_gpus and engine.device != "cpu" else 0.0)
    if engine.device == "cuda" and not gpus:
        raise ConfigError('the cluster has no GPU for engine.device = "cuda"', where="engine.ray.gpus", fix='use "auto" or "cpu"')
    threads = engine.threads or (1 if gpus else torch.get_num_threads())  # beside a GPU more of them only wait for each other
    cpus = options.cpus or (1.0 if gpus else float(min(threads, max(1, int(have_cpus)))))
    fits = [have_cpus // cpus] + ([have_gpus / gpus + 1e-6] if gpus else [])
    room = int(min(fits))
    if room < 1 and not options.min_actors:
        what = f"a worker asks for {cpus:g} cores and {gpus:g} GPUs, but the cluster has {have_cpus:g} and {have_gpus:g}"
        raise ConfigError(what, where="engine.ray", fix="lower engine.ray.cpus and engine.ray.gpus")
    least = options.min_actors or min(room, options.max_actors or room)
    return Size(max(1, least), max(least, options.max_actors, 1), cpus, gpus, threads)
