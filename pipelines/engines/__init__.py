"""Engines run units of work: in this process, or on the workers of Ray."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mmfa_components.errors import PackageError
from mmfa_components.registry import Registry
from pipelines.config.schema import Pipeline
from pipelines.engines.base import Engine
from pipelines.engines.in_process import InProcessEngine

Say = Callable[[str], None]


def _ray(pipeline: Pipeline, registry: Registry, tick: Callable[[int], None], say: Say) -> Engine:
    try:
        from pipelines.engines.ray_engine import RayEngine
    except ImportError as error:
        raise PackageError(f"Ray cannot be imported ({error})", where="engine.name", fix="pip install 'mmfa[ray]'") from error
    return RayEngine(pipeline, registry, tick, say)


ENGINES: Mapping[str, Callable[[Pipeline, Registry, Callable[[int], None], Say], Engine]] = {"in_process": InProcessEngine, "ray": _ray}
"""Engines by the name a pipeline calls them."""

__all__ = ["ENGINES", "Engine"]
