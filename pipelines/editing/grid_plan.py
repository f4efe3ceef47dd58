"""From a file of the kinds "sweep", "canonical" and "interpolate" to a checked plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from mmfa_components.records import MotionKind
from mmfa_components.registry import Registry
from pipelines.config.components import motion_in_use, named_parts
from pipelines.config.faults import Faults
from pipelines.config.load import read_pipeline
from pipelines.config.schema import Cache, Output, Pipeline
from pipelines.editing.grid_schema import GridPlan, InterpolatePipeline
from pipelines.editing.latent_shift import check_vae
from pipelines.editing.shots import find_shots
from pipelines.runs.check import check_pipeline

INSTEAD = "; or set interpolate.space=feature, interpolate.prior=0, interpolate.units=none"


def load_grid(path: Path, overrides: Sequence[str], registry: Registry, cls: type[Any]) -> GridPlan:
    """A checked plan of the schema ``cls``. Raises ConfigError listing every fault."""
    faults = Faults()
    read = read_pipeline(path, overrides, cls, faults)
    out = read.output
    pipeline = Pipeline(
        description=read.description, face=read.face, animator=read.animator, provenance=read.provenance, engine=read.engine, weights=read.weights,
        output=Output(folder=out.folder, codec=out.codec, quality=out.quality, contact_sheet=out.grid, report=out.report, mark=out.mark),
        cache=Cache(mode="off"),
    )  # fmt: skip
    pipeline = named_parts(pipeline, registry)
    motion = motion_in_use(check_pipeline(pipeline, registry, faults))
    if motion is not None:
        _check_motion(read, motion, faults)
    if not out.grid.lower().endswith(".png"):
        faults.add("output.grid", f"{out.grid!r} is no .png", 'such as "grid.png"')
    here = path.resolve().parent
    shots = find_shots(read.inputs.sources, "inputs.sources", here, read.inputs.frames, faults)
    pairs = []
    if isinstance(read, InterpolatePipeline):
        for number, pair in enumerate(read.interpolate.pairs):
            found = [find_shots([text], f"interpolate.pairs[{number}]", here, 1, faults) for text in pair]
            pairs += [(found[0][0], found[1][0])] if all(found) else []
        _check_interpolation(read, registry, faults)
    if not shots and not pairs and not faults.touches("inputs"):
        faults.add("inputs.sources", "names no file", "list paths or globs of portraits, videos or clip.mp4#120")
    faults.raise_if_any(str(path))
    return GridPlan(read, pipeline, tuple(shots), tuple(pairs), path)


def needs_vae(read: InterpolatePipeline) -> bool:
    """Whether any row goes through the latent space."""
    wanted = read.interpolate
    return (bool(wanted.pairs) and wanted.space == "latent") or (bool(read.inputs.sources) and (wanted.prior > 0 or wanted.units != "none"))


def _check_motion(read: Any, motion: MotionKind, faults: Faults) -> None:
    """Turning heads and canonical faces need the motion of a head, walks between expressions a feature vector."""
    wanted = bool(motion.feature) if isinstance(read, InterpolatePipeline) else motion.edits == "head"
    if not wanted:
        what = f"its motion is a {motion.record.__name__}, which kind {read.kind!r} cannot change"
        faults.add("animator.name", what, "use an animator whose motion is that of a head")


def _check_interpolation(read: InterpolatePipeline, registry: Registry, faults: Faults) -> None:
    if not needs_vae(read):
        if not read.interpolate.pairs:
            faults.add("interpolate", "asks for nothing", "set pairs, prior or units")
        return
    check_vae(read.vae, read.face.landmarks.name, read.weights, registry, faults, INSTEAD)


def plain(plan: GridPlan) -> dict[str, Any]:
    """The plan as plain data."""
    return {
        "pipeline": str(plan.origin),
        "faces": [s.name for s in plan.shots],
        "pairs": [[a.name, b.name] for a, b in plan.pairs],
        "grid": str(Path(plan.tables.output.folder) / plan.tables.output.grid),
        "settings": attrs.asdict(plan.tables),
    }
