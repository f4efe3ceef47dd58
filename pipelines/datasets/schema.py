"""What a ``kind = "prepare_dataset"`` file may say, and the plan it becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs
from attrs.validators import ge, gt, in_, instance_of, lt

from pipelines.config.schema import Face, Part, part


@attrs.frozen
class DatasetInputs:
    """Which files, whose they are.

    files: videos and images, each a path or a glob.  manifest: instead, a CSV file with the column file (relative to the manifest's
    folder) and, if wanted, identity and split ("train" or "val"; rows with another split are left out).  identity: without such a
    column, files of one folder show one person ("folder"), or every file another ("file").
    """

    files: tuple[str, ...] = ()
    manifest: str = ""
    identity: Literal["folder", "file"] = "folder"


@attrs.frozen
class Split:
    """val_share: share of the identities that is held out, where the manifest does not say; the same people every time for one seed."""

    val_share: float = attrs.field(default=0.1, validator=[ge(0.0), lt(1.0)])
    seed: int = 0


@attrs.frozen
class Crop:
    """mode: "face" cuts the stable square around the face; "none" takes the whole (square) picture.  side: of the crops, pixels."""

    mode: Literal["face", "none"] = "face"
    side: int = attrs.field(default=256, validator=gt(0))


@attrs.frozen
class Keep:
    """What is good enough.

    stride: every how many frames one is kept.  most_frames: of one clip, 0 = all.  least_frames: clips with fewer frames that show
    the face are rejected (portraits have one).  least_side: smallest side of the square around the face in the original, pixels.
    """

    stride: int = attrs.field(default=1, validator=gt(0))
    most_frames: int = attrs.field(default=0, validator=ge(0))
    least_frames: int = attrs.field(default=8, validator=gt(0))
    least_side: float = attrs.field(default=96.0, validator=ge(0.0))


@attrs.frozen
class DatasetOutput:
    """folder: the data set; made when missing, gone on with when it is there.  report: file name in it."""

    folder: str = "datasets/faces"
    report: str = "report.json"


@attrs.frozen
class Workers:
    """workers: processes, 0 = one for every core (one a GPU).  device, batch, span: as in batch_reenact.toml."""

    workers: int = attrs.field(default=0, validator=ge(0))
    device: str = "auto"
    batch: int = attrs.field(default=0, validator=ge(0))
    span: int = attrs.field(default=64, validator=gt(0))


@attrs.frozen
class DatasetPipeline:
    """A whole file of this kind. ``rotation`` is the frozen rotation estimator, ``weights`` replaces weights files by name."""

    kind: str = attrs.field(default="prepare_dataset", validator=[instance_of(str), in_(("prepare_dataset",))])
    description: str = ""
    inputs: DatasetInputs = attrs.field(factory=DatasetInputs)
    split: Split = attrs.field(factory=Split)
    face: Face = attrs.field(factory=Face)
    rotation: Part = part("rotation_estimator")
    crop: Crop = attrs.field(factory=Crop)
    keep: Keep = attrs.field(factory=Keep)
    output: DatasetOutput = attrs.field(factory=DatasetOutput)
    engine: Workers = attrs.field(factory=Workers)
    weights: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen
class SourceFile:
    """One file of a data set: where it is, what it is called in the index, who it shows, "train" or "val"."""

    path: Path
    name: str
    identity: str
    split: str


@attrs.frozen
class DatasetPlan:
    """A checked pipeline and its files."""

    pipeline: DatasetPipeline
    files: tuple[SourceFile, ...]
    origin: Path
