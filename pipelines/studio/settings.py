"""What a page has set, and the motion edit it stands for (mmfa_components.geometry.edit)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from mmfa_components.geometry.edit import Channel, MotionEdit

Origin = Literal["source", "relative", "absolute"]
ATTRIBUTES: Mapping[str, str] = {"rotation": "Head rotation", "translation": "Position", "scale": "Scale", "expression": "Expression"}
"""Attributes whose origin can be chosen, with their names on the page."""
POSE = ("yaw", "pitch", "roll", "x", "y", "scale")


@attrs.frozen
class Settings:
    """Everything that decides a result besides the two files.

    yaw, pitch, roll: degrees added.  x, y: half crop sides added (right and down positive).  scale: factor.
    strength: multiple of the clip's expression.  rotation, translation, scale_from, expression: where each attribute comes from.
    frame: the square around the face, or put back into the whole picture.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0
    strength: float = 1.0
    origins: Mapping[str, Origin] = attrs.field(factory=lambda: dict.fromkeys(ATTRIBUTES, "relative"))
    frame: Literal["crop", "paste"] = "crop"

    def edit(self, with_clip: bool) -> MotionEdit:
        """The edit; without a clip everything comes from the portrait."""
        origin = {name: self.origins[name] if with_clip else "source" for name in ATTRIBUTES}
        return MotionEdit(
            rotation=Channel(origin["rotation"]),
            yaw=Channel("whole", offset=self.yaw),
            pitch=Channel("whole", offset=self.pitch),
            roll=Channel("whole", offset=self.roll),
            translation=Channel(origin["translation"]),
            x=Channel("whole", offset=self.x),
            y=Channel("whole", offset=self.y),
            scale=Channel(origin["scale"], offset=self.scale - 1),
            expression=Channel(origin["expression"], amount=self.strength if with_clip else 1.0),
        )
