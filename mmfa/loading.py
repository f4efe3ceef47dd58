"""``mmfa.load``: from a few words to a checked pipeline and an animator in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from mmfa.predictor import Predictor
from mmfa_components import registry as registries
from pipelines.catalogue import SHIPPED
from pipelines.config.components import named_parts
from pipelines.config.faults import Faults
from pipelines.config.load import load_pipeline
from pipelines.runs.check import check_pipeline


def load(
    device: str = "auto",
    animator: str = "",
    weights: Mapping[str, str | Path] | None = None,
    *,
    settings: Sequence[str] = (),
) -> Predictor:
    """Load an animator.

    Args:
        device: "auto" (a GPU where there is one), "cpu", "cuda", "cuda:1".
        animator: name of the animator, "" for the default; ``mmfa plugins list`` names them.
        weights: your own weights files by name; ``mmfa plugins show NAME`` names them.
        settings: further keys of a pipeline file, such as "face.min_score=0.3" or "cache.mode=off";
            ``mmfa keys`` explains them.

    Raises:
        ConfigError: listing everything that is wrong: a device that is not there, an unknown
            animator, an option.
        PluginError, WeightsError: a component is broken, a weights file missing, damaged or of
            another architecture.
    """
    given = [f"engine.device={json.dumps(device)}", *settings]
    if animator:
        given += [f"animator.name={json.dumps(animator)}", "animator.options={}"]
    given += [f"weights.{name}={json.dumps(str(path))}" for name, path in (weights or {}).items()]
    registry = registries.load_registry()
    base = load_pipeline(
        SHIPPED / "batch_reenact.toml", ["inputs.sources=[]", "inputs.driving=[]", *given]
    )
    pipeline = named_parts(attrs.evolve(base, description=""), registry)
    faults = Faults()
    check_pipeline(pipeline, registry, faults)
    faults.raise_if_any("mmfa.load")
    return Predictor(pipeline, registry)
