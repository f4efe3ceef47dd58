"""What a ``kind = "evaluate"`` file may say: inputs, animators, metrics, protocols, output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
from attrs.validators import ge, gt, in_, instance_of, le

from pipelines.config.schema import REST, Cache, Engine, Face, Transfer, TransferMode

FREE = ("psnr", "ssim", "akd", "apd")
"""Metrics that need no weights file that is not shipped."""


@attrs.frozen
class EvaluateInputs:
    """What is evaluated.

    clips: videos, each a path or a glob.  portraits: pictures for the cross-identity and control protocols, each a path or a glob.
    manifest: instead of both, a CSV with the columns file, identity and, if wanted, split; pictures in it are portraits, videos clips.
    split: rows of the manifest that are taken, "" takes all.
    """

    clips: tuple[str, ...] = ()
    portraits: tuple[str, ...] = ()
    manifest: str = ""
    split: str = "val"


@attrs.frozen
class Candidate:
    """One animator in the tables. name, options: as in batch_reenact.toml.  label: its row's name, "" is the component's name.

    weights: weights files by name, of this row alone, over those of the table [weights].
    """

    name: str = ""
    label: str = ""
    options: dict[str, Any] = attrs.field(factory=dict)
    weights: dict[str, str] = attrs.field(factory=dict)

    @property
    def title(self) -> str:
        """The row's name."""
        return self.label or self.name


@attrs.frozen
class Frames:
    """Which frames of a clip drive, after the first one with a face (the source): every ``stride``-th, at most ``limit`` (0: all).

    spread: the ``limit`` frames are spread evenly over the clip instead of being its first ones.
    """

    stride: int = attrs.field(default=1, validator=gt(0))
    limit: int = attrs.field(default=16, validator=ge(0))
    spread: bool = True


@attrs.frozen
class Same:
    """Same-identity protocol: the first frame with a face is the source, later ones drive, absolute motion."""

    run: bool = True


@attrs.frozen
class Cross:
    """Cross-identity protocol: frames of each clip drive portraits of other people.

    portraits_per_clip: how many portraits each clip drives, in turn through the list; 0 is all.  default, amount, fields: as in [transfer]
    of batch_reenact.toml, against the most neutral frame of the clip where "relative".
    """

    run: bool = True
    portraits_per_clip: int = attrs.field(default=1, validator=ge(0))
    default: TransferMode = "absolute"
    amount: dict[str, float] = attrs.field(factory=dict)
    fields: dict[str, TransferMode] = attrs.field(factory=dict, metadata={REST: True})

    def transfer(self) -> Transfer:
        """As the table [transfer] says it."""
        return Transfer(self.default, "auto", self.amount, self.fields)


@attrs.frozen
class Control:
    """Control protocol: one attribute of a portrait is moved over its range in ``steps`` steps, all are measured.

    portraits: how many are used, 0 is all.  yaw, pitch, roll: degrees to both sides of the portrait's own.  scale: largest factor; the
    smallest is one over it.  x, y: half crop sides to both sides.  expression: largest strength of a clip's expression, from 0 on.
    """

    run: bool = True
    portraits: int = attrs.field(default=0, validator=ge(0))
    steps: int = attrs.field(default=5, validator=[ge(3), le(41)])
    yaw: float = attrs.field(default=20.0, validator=[gt(0.0), le(80.0)])
    pitch: float = attrs.field(default=15.0, validator=[gt(0.0), le(80.0)])
    roll: float = attrs.field(default=25.0, validator=[gt(0.0), le(80.0)])
    scale: float = attrs.field(default=1.25, validator=[gt(1.0), le(3.0)])
    x: float = attrs.field(default=0.2, validator=[gt(0.0), le(1.0)])
    y: float = attrs.field(default=0.2, validator=[gt(0.0), le(1.0)])
    expression: float = attrs.field(default=1.0, validator=[gt(0.0), le(3.0)])


@attrs.frozen
class Temporal:
    """Steadiness protocol: ``frames`` consecutive frames of each clip, where its head moves least, rebuilt from the clip's source frame."""

    run: bool = True
    frames: int = attrs.field(default=16, validator=ge(4))


@attrs.frozen
class EvaluateOutput:
    """folder: of tables, report and finished parts.  resamples: of the bootstrap.  worst: how many worst cases the report shows.

    pictures: strips of frames in the report; without them it holds numbers only.
    """

    folder: str = "outputs/evaluate"
    resamples: int = attrs.field(default=1000, validator=ge(100))
    worst: int = attrs.field(default=6, validator=ge(0))
    pictures: bool = True


def split_label(name: str) -> tuple[str, str]:
    """Component and label of a name among the metrics: "csim" has no label, "csim:MobileFaceNet" is the metric csim once more."""
    component, _, label = name.partition(":")
    return component.strip(), label.strip()


@attrs.frozen
class EvaluatePipeline:
    """A whole file of this kind. metrics: "METRIC", or "METRIC:LABEL" for one more column of a metric.  metric_options: their options by
    that name.  seed: of the bootstrap.
    """

    kind: str = attrs.field(default="evaluate", validator=[instance_of(str), in_(("evaluate",))])
    description: str = ""
    inputs: EvaluateInputs = attrs.field(factory=EvaluateInputs)
    animators: tuple[Candidate, ...] = attrs.field(factory=lambda: (Candidate(),))
    metrics: tuple[str, ...] = FREE
    metric_options: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    frames: Frames = attrs.field(factory=Frames)
    same: Same = attrs.field(factory=Same)
    cross: Cross = attrs.field(factory=Cross)
    control: Control = attrs.field(factory=Control)
    temporal: Temporal = attrs.field(factory=Temporal)
    output: EvaluateOutput = attrs.field(factory=EvaluateOutput)
    face: Face = attrs.field(factory=Face)
    cache: Cache = attrs.field(factory=Cache)
    engine: Engine = attrs.field(factory=Engine)
    weights: dict[str, str] = attrs.field(factory=dict)
    seed: int = 0


@attrs.frozen
class Input:
    """A clip or a portrait and whose it is."""

    path: Path
    identity: str


@attrs.frozen
class EvaluatePlan:
    """A checked pipeline with its inputs. pairs: for each clip of ``clips`` the numbers of the portraits that it drives.

    title: of the table of the same- and cross-identity protocols.  notes: that stand first below it.
    """

    pipeline: EvaluatePipeline
    clips: tuple[Input, ...]
    portraits: tuple[Input, ...]
    pairs: tuple[tuple[int, ...], ...]
    origin: Path
    title: str = "Animation (layout of the paper's Table 1)"
    notes: tuple[str, ...] = ()
