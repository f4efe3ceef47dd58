"""What a page has set, and the motion edit it stands for: as pipeline files say it, and as geometry takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from mmfa_components.geometry.edit import FieldEdit, MotionEdit
from pipelines.editing.schema import ExpressionTable, MotionTable, NumberTable, RegionTable, ScaleTable, TakenTable

Origin = Literal["source", "relative", "absolute", "whole"]
ATTRIBUTES: Mapping[str, str] = {
    "rotation": "Head rotation", "translation": "Position", "scale": "Scale", "expression": "Expression", "eyes": "Eyes", "mouth": "Mouth",
}  # fmt: skip
"""Attributes whose origin can be chosen, with their names on the page."""
REGIONS = ("eyes", "mouth")


def _origins() -> dict[str, Origin]:
    return {name: "whole" if name in REGIONS else "relative" for name in ATTRIBUTES}


@attrs.frozen
class Settings:
    """Everything that decides a result besides the two files.

    yaw, pitch, roll: degrees added.  x, y: half crop sides added (right and down positive).  scale: factor.
    strength: multiple of the clip's expression.  origins: where each attribute comes from.
    frame: the square around the face, or put back into the whole picture.  mark: a visible note that the result is synthetic.
    latent: units of the expression VAE by number, in standard deviations.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0
    strength: float = 1.0
    origins: Mapping[str, Origin] = attrs.field(factory=_origins)
    frame: Literal["crop", "paste"] = "crop"
    mark: bool = False
    latent: Mapping[str, float] = attrs.field(factory=dict)

    def table(self, with_clip: bool) -> MotionTable:
        """The ``[motion]`` table of a pipeline file of kind "edit"; without a clip everything comes from the portrait."""
        take: dict[str, Any] = {n: self.origins[n] if with_clip else "whole" if n in REGIONS else "source" for n in ATTRIBUTES}
        amount = {n: self.strength if take[n] in ("relative", "absolute") else 1.0 for n in ("expression", *REGIONS)}
        return MotionTable(
            rotation=TakenTable(take["rotation"]),
            yaw=NumberTable(offset=self.yaw),
            pitch=NumberTable(offset=self.pitch),
            roll=NumberTable(offset=self.roll),
            translation=TakenTable(take["translation"]),
            x=NumberTable(offset=self.x),
            y=NumberTable(offset=self.y),
            scale=ScaleTable(take["scale"], offset=round(self.scale - 1, 6)),
            expression=ExpressionTable(take["expression"], amount=amount["expression"]),
            eyes=RegionTable(take["eyes"], amount=amount["eyes"]),
            mouth=RegionTable(take["mouth"], amount=amount["mouth"]),
            latent={name: amount for name, amount in self.latent.items() if amount},
        )

    def edit(self, with_clip: bool) -> MotionEdit | FieldEdit:
        """The edit as geometry takes it."""
        return self.table(with_clip).edit()
