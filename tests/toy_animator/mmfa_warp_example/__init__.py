"""What this distribution brings: one animator, called "warp"."""

from __future__ import annotations

from mmfa_components.hookspecs import hookimpl
from mmfa_components.kinds import ComponentSpec
from mmfa_components.records import Frames, Landmarks
from mmfa_warp_example.animator import Picture, WarpAnimator, WarpOptions
from mmfa_warp_example.motion import KIND, PointMotion


@hookimpl
def mmfa_components() -> list[ComponentSpec]:
    """The animator."""
    return [
        ComponentSpec(
            "animator",
            "warp",
            WarpAnimator,
            needs=(Frames, Landmarks),
            gives=(Picture, PointMotion, Frames),
            options=WarpOptions,
            summary="the portrait itself, moved piece by piece",
            motion=KIND,
        )
    ]
