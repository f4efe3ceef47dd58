"""What a pipeline TOML may say: one attrs class a table, every field with its default. Unknown keys are errors (see load.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import attrs
from attrs.validators import ge, gt, in_, instance_of, le

from pipelines.config.places import CACHE, cache_folder

TransferMode = Literal["relative", "absolute", "source"]


LEAST_SIDE = 64
"""Least side of a result in pixels."""
REST, KIND = "mmfa_rest", "mmfa_kind"
"""Metadata of a dict field that takes the keys of its table which no other field names, and of one that names a component."""


@attrs.frozen
class Part:
    """A component.

    name: which one; mmfa plugins list names them, "" is the kind's default.  options: its options; mmfa plugins show KIND/NAME
    explains them.
    """

    name: str = ""
    options: dict[str, Any] = attrs.field(factory=dict)


def part(kind: str) -> Any:
    """Declare a field that names a component of ``kind``; by default the default one."""
    return attrs.field(factory=Part, metadata={KIND: kind})


@attrs.frozen
class Inputs:
    """What to animate with what.

    sources: portraits or videos, each a path or a glob.  driving: clips, each a path or a glob.  pairing: every source with every
    clip ("product") or first with first, second with second ("zip").  jobs: instead of both, a CSV or JSONL file with the columns
    source, driving and optionally output (file name without folder), face, reference.

    Relative paths start at the working directory; ``{here}`` is the folder of the TOML file, ``{demo}`` that of the demo media.
    """

    sources: tuple[str, ...] = ()
    driving: tuple[str, ...] = ()
    pairing: Literal["product", "zip"] = "product"
    jobs: str = ""


@attrs.frozen
class Face:
    """Finding, following and cropping the face.

    select: "largest" or the index of the face, counted from the left in the first frame with a face.  max_gap: longest run of
    frames without a face that is bridged by interpolating motion.  crop_ratio: height of the face's landmarks over the side of
    the crop.  min_score: lowest detector score of a face.  smooth: seconds of the centred window that steadies the track (0 = off).
    """

    detector: Part = part("face_detector")
    landmarks: Part = part("landmark_detector")
    select: str | int = "largest"
    max_gap: int = attrs.field(default=25, validator=ge(0))
    crop_ratio: float = attrs.field(default=0.58, validator=[gt(0.1), le(1.0)])
    min_score: float = attrs.field(default=0.5, validator=[ge(0.0), le(1.0)])
    smooth: float = attrs.field(default=0.0, validator=ge(0.0))


@attrs.frozen
class Transfer:
    """Where each field of the result's motion comes from.

    default: of the fields that are not named.  reference: "auto" (most neutral frame), or a frame index of the driving clip.  amount:
    multiple by field: of the clip's change from its reference frame where it is relative; see geometry.transfer.Mode.
    fields: every other key, the name of a field of the animator's motion (MMFA: rotation, translation, scale, expression).
    "relative": the source's own, changed as the driving clip changes from its reference frame.  "absolute": the driving clip's.
    "source": the source's, unchanged.
    """

    default: TransferMode = "relative"
    reference: str | int = "auto"
    amount: dict[str, float] = attrs.field(factory=dict)
    fields: dict[str, TransferMode] = attrs.field(factory=dict, metadata={REST: True})

    def mode(self, field: str) -> TransferMode:
        """Where a field comes from."""
        return self.fields.get(field, self.default)


def _check_side(instance: Any, attribute: Any, value: str | int) -> None:
    if value not in ("auto", "source") and (isinstance(value, str) or value < LEAST_SIDE or value % 2):
        raise ValueError(f'must be "auto", "source" or an even number of pixels from {LEAST_SIDE} on, not {value!r}')


@attrs.frozen
class Output:
    """What is written where.

    folder: created when missing.  frame: "crop" writes the animator's own square, "paste" puts it back into the full-size source,
    with shoulders and border held still.  side: pixels of that square's side, or "source": as many as the source has there; "auto"
    is the animator's own for "crop", and the most it can make of the source for "paste".  codec: any encoder PyAV has.
    quality: constant rate factor (lower is better).  audio: carry the driving clip's sound over.  contact_sheet: file name of the
    overview picture, "" for none.  report: file name of the run report.  overwrite: make results again even when nothing has
    changed.  mark: write "AI-generated" into a corner of every frame.  motion: leave the result's motion beside it as a motion file.
    """

    folder: str = "outputs"
    frame: Literal["crop", "paste"] = "crop"
    codec: str = "libx264"
    quality: int = attrs.field(default=18, validator=[ge(0), le(63)])
    side: str | int = attrs.field(default="auto", validator=_check_side)
    audio: bool = True
    contact_sheet: str = "contact_sheet.png"
    report: str = "report.json"
    overwrite: bool = False
    mark: bool = False
    motion: bool = False


Algorithm = Literal["es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519"]


@attrs.frozen
class Provenance:
    """Content credentials (C2PA) of results, where a certificate is given.

    certificate: PEM file, the signer's certificate first, then its chain.  key: PEM file of the private key.  algorithm: of the key.
    timestamps: URL of a time stamp authority, "" for none.
    """

    certificate: str = ""
    key: str = ""
    algorithm: Algorithm = "es256"
    timestamps: str = ""


@attrs.frozen
class Cache:
    """Motion cache. folder: where it is; "{cache}" is the user's (``mmfa where`` shows it).  mode: whether it is used ("use"), only
    read ("read"), or left alone ("off").
    """

    folder: str = attrs.field(default=CACHE, converter=cache_folder)
    mode: Literal["use", "read", "off"] = "use"


@attrs.frozen
class Ray:
    """How engine "ray" spreads the work. 0 (gpus: -1) stands for what suits the cluster.

    address: "" starts Ray on this machine, "auto" joins the cluster this machine belongs to; else host:port.
    min_actors, max_actors: workers; more are started up to the maximum while work waits for them.  cpus: cores of a worker
    (0: engine.threads, with a GPU 1).  gpus: share of a GPU of a worker (-1: half a GPU where the cluster has any).  window: spans or
    segments of one video in flight.  jobs: clips and results in flight.  retries: times a unit is tried again after its worker died.
    store_mb: MB of shared memory of a Ray started here.  dashboard: start Ray's own web page with it.
    """

    address: str = ""
    min_actors: int = attrs.field(default=0, validator=ge(0))
    max_actors: int = attrs.field(default=0, validator=ge(0))
    cpus: float = attrs.field(default=0.0, validator=ge(0.0))
    gpus: float = attrs.field(default=-1.0, validator=ge(-1.0))
    window: int = attrs.field(default=0, validator=ge(0))
    jobs: int = attrs.field(default=0, validator=ge(0))
    retries: int = attrs.field(default=2, validator=ge(0))
    store_mb: int = attrs.field(default=0, validator=ge(0))
    dashboard: bool = False


@attrs.frozen
class Engine:
    """How the work runs.

    name: "in_process", or "ray" for several workers on this machine or a cluster.  device: "auto", "cpu", "cuda", "cuda:1".
    precision: compute dtype of the networks that make images (motion is always estimated in float32); "auto" is bfloat16 on GPUs
    and on CPUs that compute in it, else float32.
    batch: frames a network sees at once, 0: what is fastest on the device.  span: frames of a clip that are decomposed in
    one unit of work.  threads: CPU threads of torch, 0 = torch's own choice,
    one in a worker of Ray that has a GPU.
    """

    name: str = "in_process"
    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    batch: int = attrs.field(default=0, validator=ge(0))
    span: int = attrs.field(default=64, validator=gt(0))
    threads: int = attrs.field(default=0, validator=ge(0))
    ray: Ray = attrs.field(factory=Ray)


@attrs.frozen
class Pipeline:
    """A whole pipeline file.

    kind: what it does.  description: shown with the plan and over the contact sheet.  weights: your own weights files by name; mmfa
    plugins show NAME names them.
    """

    kind: str = attrs.field(default="reenact", validator=[instance_of(str), in_(("reenact",))])
    description: str = ""
    inputs: Inputs = attrs.field(factory=Inputs)
    face: Face = attrs.field(factory=Face)
    animator: Part = part("animator")
    transfer: Transfer = attrs.field(factory=Transfer)
    output: Output = attrs.field(factory=Output)
    provenance: Provenance = attrs.field(factory=Provenance)
    cache: Cache = attrs.field(factory=Cache)
    engine: Engine = attrs.field(factory=Engine)
    weights: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Job:
    """One result to make: ``source`` moved by ``driving``, written to ``output``. Empty ``face``/``reference``: the pipeline's own."""

    source: Path
    driving: Path
    output: Path
    face: str | int | None = None
    reference: str | int | None = None

    @property
    def name(self) -> str:
        """What the job is called in reports."""
        return f"{self.source.name} x {self.driving.name}"


@attrs.frozen
class Plan:
    """A checked pipeline and the jobs it stands for. ``origin`` is the TOML file."""

    pipeline: Pipeline
    jobs: tuple[Job, ...]
    origin: Path


def rest_of(cls: type[Any]) -> str:
    """Name of the field of a table's class that takes the keys which no other field names; "" when there is none."""
    return next((f.name for f in attrs.fields(cls) if f.metadata.get(REST)), "")


def as_tables(settings: Any) -> Any:
    """Settings as a pipeline file would say them: attrs classes as tables, the keys of a table that takes any on their own level."""
    if attrs.has(type(settings)):
        tables = {f.name: as_tables(getattr(settings, f.name)) for f in attrs.fields(type(settings))}
        unnamed = tables.pop(rest_of(type(settings)), {})
        return {**tables, **unnamed}
    if isinstance(settings, dict):
        return {key: as_tables(value) for key, value in settings.items()}
    return [as_tables(item) for item in settings] if isinstance(settings, (list, tuple)) else settings
