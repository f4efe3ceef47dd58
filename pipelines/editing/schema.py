"""What a ``kind = "edit"`` file may say: where each attribute of the motion comes from, clip by clip, key by key."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import attrs
from attrs.validators import ge, gt, in_, instance_of

from mmfa_components.geometry.curves import Key
from mmfa_components.geometry.edit import Channel, FieldEdit, MotionEdit
from mmfa_components.records import HEAD, MotionKind
from pipelines.config.schema import REST, Cache, Engine, Face, Job, Output, Part, Plan, Provenance, part

Ease = Literal["linear", "in", "out", "in_out", "hold"]
Taken = Literal["source", "relative", "absolute"]
Whole = Literal["whole", "source", "relative", "absolute"]
Number = Literal["source", "relative", "absolute", "constant", "curve"]
Angle = Literal["whole", "source", "relative", "absolute", "constant", "curve"]


@attrs.frozen
class KeyTable:
    """A key of a curve: ``time`` in seconds from the beginning of the result, its value, and how the curve leaves it."""

    time: float
    value: float
    ease: Ease = "linear"


Keys = tuple[KeyTable, ...]


@attrs.frozen
class TakenTable:
    """rotation, translation. take: see Channel.  clip: "" for the driving clip, or a name of [inputs.clips].  amount: multiple."""

    take: Taken = "source"
    clip: str = ""
    amount: float = 1.0


@attrs.frozen
class ExpressionTable(TakenTable):
    """expression. keys: the amount over time, on top of ``amount``."""

    keys: Keys = ()


@attrs.frozen
class RegionTable:
    """eyes, mouth. "whole": as the expression."""

    take: Whole = "whole"
    clip: str = ""
    amount: float = 1.0
    keys: Keys = ()


@attrs.frozen
class NumberTable:
    """yaw, pitch, roll in degrees, x, y in half crop sides. "whole": as rotation or translation. value: of "constant".  keys: of "curve";
    else added.  offset: added.
    """

    take: Angle = "whole"
    clip: str = ""
    amount: float = 1.0
    value: float = 0.0
    offset: float = 0.0
    keys: Keys = ()


@attrs.frozen
class ScaleTable:
    """scale. value: the model's scale (0.6 or so).  offset and added keys are shares: 0.1 is a tenth larger."""

    take: Number = "source"
    clip: str = ""
    amount: float = 1.0
    value: float = attrs.field(default=0.6, validator=gt(0.0))
    offset: float = attrs.field(default=0.0, validator=gt(-1.0))
    keys: Keys = ()


@attrs.frozen
class MotionTable:
    """One table an attribute. reference: neutral frame of the driving clip, "auto" or its number.

    latent: units of the expression VAE's latent space by number, and by how many standard deviations the expression is moved along them.
    fields: every other table, for animators whose motion is not that of a head: the name of a field of their motion, taken as the
    expression is.
    """

    reference: str | int = "auto"
    rotation: TakenTable = attrs.field(factory=TakenTable)
    yaw: NumberTable = attrs.field(factory=NumberTable)
    pitch: NumberTable = attrs.field(factory=NumberTable)
    roll: NumberTable = attrs.field(factory=NumberTable)
    translation: TakenTable = attrs.field(factory=TakenTable)
    x: NumberTable = attrs.field(factory=NumberTable)
    y: NumberTable = attrs.field(factory=NumberTable)
    scale: ScaleTable = attrs.field(factory=ScaleTable)
    expression: ExpressionTable = attrs.field(factory=ExpressionTable)
    eyes: RegionTable = attrs.field(factory=RegionTable)
    mouth: RegionTable = attrs.field(factory=RegionTable)
    latent: dict[str, float] = attrs.field(factory=dict)
    fields: dict[str, ExpressionTable] = attrs.field(factory=dict, metadata={REST: True})

    def edit(self, kind: MotionKind = HEAD) -> MotionEdit | FieldEdit:
        """As geometry takes it, for a kind of motion. Tables that are no field of it are left out; see ``strangers``."""
        if kind.edits == "head":
            return MotionEdit(**{name: _channel(getattr(self, name)) for name in ATTRIBUTES})
        given = {name: getattr(self, name) for name in ATTRIBUTES if getattr(self, name) != getattr(MotionTable(), name)}
        tables = {**given, **self.fields}
        return FieldEdit({name: _channel(tables[name]) for name in kind.fields if name in tables})

    def strangers(self, kind: MotionKind) -> dict[str, tuple[str, ...]]:
        """Tables that say something of what a kind of motion does not have, each with the names that it could have."""
        if kind.edits == "head":
            return dict.fromkeys(self.fields, (*ATTRIBUTES, "reference", "latent"))
        given = [name for name in ATTRIBUTES if getattr(self, name) != getattr(MotionTable(), name)]
        return {name: kind.fields for name in (*given, *self.fields) if name not in kind.fields}


ATTRIBUTES = tuple(f.name for f in attrs.fields(MotionEdit))


def _channel(table: Any) -> Channel:
    keys = tuple(Key(k.time, k.value, k.ease) for k in getattr(table, "keys", ()))
    return Channel(table.take, table.clip, table.amount, getattr(table, "value", 0.0), keys, getattr(table, "offset", 0.0))


@attrs.frozen
class EditInputs:
    """sources: portraits or videos.  driving: clips or motion files, none is fine.  pairing: as in reenact.  clips: further clips, motion
    files or pictures by name, for the ``clip`` of an attribute.
    """

    sources: tuple[str, ...] = ()
    driving: tuple[str, ...] = ()
    pairing: Literal["product", "zip"] = "product"
    clips: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Timing:
    """How long the result is. A driving clip decides, else a video as source; else: seconds, 0: up to the last key or the end of the
    longest of the other clips that are used, and a single picture when there is neither.  rate: frames a second then.  beyond: what a
    clip does after its end, "hold" its last frame or "loop".
    """

    seconds: float = attrs.field(default=0.0, validator=ge(0.0))
    rate: float = attrs.field(default=25.0, validator=[gt(0.0)])
    beyond: Literal["hold", "loop"] = "hold"


@attrs.frozen
class EditPipeline:
    """A whole file of this kind; tables that are not of this module are those of batch_reenact.toml. vae: for ``motion.latent``."""

    kind: str = attrs.field(default="edit", validator=[instance_of(str), in_(("edit",))])
    description: str = ""
    inputs: EditInputs = attrs.field(factory=EditInputs)
    face: Face = attrs.field(factory=Face)
    animator: Part = part("animator")
    vae: Part = part("expression_vae")
    motion: MotionTable = attrs.field(factory=MotionTable)
    timing: Timing = attrs.field(factory=Timing)
    output: Output = attrs.field(factory=Output)
    provenance: Provenance = attrs.field(factory=Provenance)
    cache: Cache = attrs.field(factory=Cache)
    engine: Engine = attrs.field(factory=Engine)
    weights: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen
class EditJob(Job):
    """One result. ``driving`` is the source itself when there is no driving clip (``driven`` is False then)."""

    driven: bool = True

    @property
    def name(self) -> str:
        """See Job."""
        return f"{self.source.name} x {self.driving.name}" if self.driven else f"{self.source.name}, edited"


@attrs.frozen
class EditPlan(Plan):
    """A checked pipeline. ``pipeline``: the tables shared with reenact.  clips: files by name.  edit: what ``motion`` asks for."""

    motion: MotionTable = attrs.field(factory=MotionTable)
    timing: Timing = attrs.field(factory=Timing)
    clips: dict[str, Path] = attrs.field(factory=dict)
    vae: Part = part("expression_vae")
    edit: MotionEdit | FieldEdit = attrs.field(factory=MotionEdit)
