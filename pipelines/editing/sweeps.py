"""Rows that turn the head about one axis (paper Fig. 12-14), and the canonical faces (Fig. 7)."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from mmfa_components.geometry.curves import Key
from mmfa_components.geometry.edit import Channel, MotionEdit, apply_edit
from mmfa_components.geometry.transfer import neutral_pose
from mmfa_components.records import HEAD, Record
from pipelines.editing.grid_run import Faces, Row, picture_of, walk_frames
from pipelines.editing.grid_schema import CanonicalPipeline, SweepPipeline
from pipelines.stages.encode import Portrait

ANGLES = ("yaw", "pitch", "roll")


def sweep_rows(tables: SweepPipeline, faces: Faces) -> Iterator[Row]:
    """A row a face and angle. The video goes from the first value to the last and back, easing at the ends."""
    for shot, face in faces.items():
        for index, name in enumerate(ANGLES):
            values: tuple[float, ...] = getattr(tables.sweep, name)
            if not values:
                continue
            keys = [Key(float(i), v) for i, v in enumerate(values)]
            motions = _turned(face, name, keys, torch.arange(len(values)).double(), tables.sweep.values)
            there_and_back = [Key(0.0, values[0], "in_out"), Key(1.0, values[-1], "in_out"), Key(2.0, values[0])]
            times = torch.linspace(0, 2, walk_frames(tables.output), dtype=torch.float64)
            walk = _turned(face, name, there_and_back, times, tables.sweep.values)
            sign = "+" if tables.sweep.values == "offset" else ""
            captions = tuple(f"{v:{sign}g}°" for v in values)
            group = shot.name if index == 0 or not getattr(tables.sweep, ANGLES[0]) else ""
            first = (("portrait", picture_of(face)),)
            yield Row(name, face, motions, captions, walk, group, first)


def _turned(face: Portrait, name: str, keys: list[Key], times: torch.Tensor, values: str) -> Record:
    channel = Channel("curve" if values == "constant" else "whole", keys=tuple(keys))
    return apply_edit(face.motion, MotionEdit(**{name: channel}), {}, times, HEAD)


def canonical_rows(tables: CanonicalPipeline, faces: Faces) -> Iterator[Row]:
    """For every face one row: the picture, then the canonical keypoints without pose and expression (x = s x_c)."""
    for shot, face in faces.items():
        scaled = MotionEdit(scale=Channel("constant", value=tables.canonical.scale))
        motion = apply_edit(neutral_pose(face.motion, HEAD), scaled, {}, torch.zeros(1), HEAD)
        yield Row(shot.name, face, motion, ("canonical",), None, "", (("source", picture_of(face)),), neutral=True)
