"""How far from its portrait a head may be turned before the picture is no longer what the weights were measured for."""

from __future__ import annotations

from mmfa_components.geometry.rotations import matrix_to_euler
from mmfa_components.records import Motion, Record

STATED = {"yaw": 20.0, "pitch": 15.0, "roll": 25.0}
"""Degrees from the portrait's own pose, to both sides, over which docs/evaluation.md has figures of control."""
LEEWAY = 1.0


def turned_far(made: Record, own: Record) -> list[str]:
    """Warnings for a result (N rows) that turns its source (N rows or 1) beyond what is stated; none for motions that are no head's."""
    if not isinstance(made, Motion) or not isinstance(own, Motion):
        return []
    angles = [matrix_to_euler(motion.rotation.double()) for motion in (made, own)]
    texts = []
    for name, ours, theirs in zip(STATED, *angles, strict=True):
        most = float((ours - theirs).rad2deg().abs().max())
        if most > STATED[name] + LEEWAY:
            texts.append(f"{name} is up to {most:.0f} degrees from the source's own; beyond {STATED[name]:.0f} expect a soft or bent face")
    return texts
