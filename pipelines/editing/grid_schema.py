"""What files of the kinds "sweep", "canonical" and "interpolate" may say."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import attrs
from attrs.validators import ge, gt, in_, instance_of, le

from pipelines.config.schema import Engine, Face, Part, Pipeline, Provenance, part
from pipelines.editing.shots import Shot

STEPS = (-30.0, -20.0, -10.0, 0.0, 10.0, 20.0, 30.0)


@attrs.frozen
class Shots:
    """sources: portraits, videos (``frames`` frames of each, evenly spread) or single frames, ``clip.mp4#120``; paths or globs."""

    sources: tuple[str, ...] = ()
    frames: int = attrs.field(default=3, validator=ge(1))


@attrs.frozen
class GridOutput:
    """grid: file name of the picture.  video: also a video of every row.  seconds, rate: length of such a video and its frames a second.
    codec, quality, mark, report: as in reenact.
    """

    folder: str = "outputs"
    grid: str = "grid.png"
    video: bool = False
    seconds: float = attrs.field(default=3.0, validator=gt(0.0))
    rate: float = attrs.field(default=25.0, validator=[gt(0.0), le(240.0)])
    codec: str = "libx264"
    quality: int = attrs.field(default=18, validator=[ge(0), le(63)])
    mark: bool = False
    report: str = "report.json"


@attrs.frozen
class Sweep:
    """yaw, pitch, roll: degrees, one row each; [] leaves the row out.  values: "constant" sets the angle, "offset" adds to the portrait's."""

    yaw: tuple[float, ...] = STEPS
    pitch: tuple[float, ...] = (-20.0, -13.0, -7.0, 0.0, 7.0, 13.0, 20.0)
    roll: tuple[float, ...] = STEPS
    values: Literal["constant", "offset"] = "constant"


@attrs.frozen
class Canonical:
    """scale: of the face in the crop; about 0.62 is what the shipped model saw in training."""

    scale: float = attrs.field(default=0.62, validator=gt(0.0))


@attrs.frozen
class Interpolate:
    """Which rows are drawn.

    pairs: two shots each, from the first one's expression to the second's, in ``steps`` steps.  space: "latent" through the VAE, "feature"
    along a straight line between the features.  pose: head pose of a pair's row, of the "first" or the "second" shot.
    prior: samples from the prior for every source.  units: latent units to walk along for every source, by number, "strongest" or "none";
    count: how many of the strongest.  reach: standard deviations to each side.  seed: of the samples.
    """

    pairs: tuple[tuple[str, str], ...] = ()
    steps: int = attrs.field(default=7, validator=ge(2))
    space: Literal["latent", "feature"] = "latent"
    pose: Literal["first", "second"] = "first"
    prior: int = attrs.field(default=7, validator=ge(0))
    units: tuple[int, ...] | Literal["strongest", "none"] = "strongest"
    count: int = attrs.field(default=4, validator=ge(1))
    reach: float = attrs.field(default=3.0, validator=gt(0.0))
    seed: int = 0


@attrs.frozen
class GridPipeline:
    """What the three kinds share."""

    description: str = ""
    inputs: Shots = attrs.field(factory=Shots)
    face: Face = attrs.field(factory=Face)
    animator: Part = part("animator")
    output: GridOutput = attrs.field(factory=GridOutput)
    provenance: Provenance = attrs.field(factory=Provenance)
    engine: Engine = attrs.field(factory=Engine)
    weights: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen
class SweepPipeline(GridPipeline):
    """A whole ``kind = "sweep"`` file."""

    kind: str = attrs.field(default="sweep", validator=[instance_of(str), in_(("sweep",))])
    sweep: Sweep = attrs.field(factory=Sweep)


@attrs.frozen
class CanonicalPipeline(GridPipeline):
    """A whole ``kind = "canonical"`` file."""

    kind: str = attrs.field(default="canonical", validator=[instance_of(str), in_(("canonical",))])
    canonical: Canonical = attrs.field(factory=Canonical)


@attrs.frozen
class InterpolatePipeline(GridPipeline):
    """A whole ``kind = "interpolate"`` file. vae: the component that holds the latent space."""

    kind: str = attrs.field(default="interpolate", validator=[instance_of(str), in_(("interpolate",))])
    interpolate: Interpolate = attrs.field(factory=Interpolate)
    vae: Part = part("expression_vae")


@attrs.frozen
class GridPlan:
    """A checked pipeline: its file's tables, those shared with reenact, and the faces."""

    tables: Any
    pipeline: Pipeline
    shots: tuple[Shot, ...]
    pairs: tuple[tuple[Shot, Shot], ...]
    origin: Path
