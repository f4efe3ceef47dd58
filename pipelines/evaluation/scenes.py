"""Scenes: what is shown to a metric - source, driving frames, results - for one clip or one pair of clip and portrait."""

from __future__ import annotations

import attrs
import torch
from torch import Tensor
from torch.nn import functional

from mmfa_components.errors import NoFaceError
from mmfa_components.records import Record
from pipelines.evaluation.animators import Runner
from pipelines.evaluation.schema import Cross, Frames, Input
from pipelines.runs.clips import Clip
from pipelines.stages.crop import crop_frames
from pipelines.stages.frames import FrameSource
from pipelines.stages.store import iterate
from pipelines.stages.transfer import Carry, find_reference, modes_of

SIDE = 256
"""Side in pixels at which everything is measured, whatever the animator's own."""
SOURCE_REPEATED, DRIVING_ITSELF = "source repeated", "driving frame itself"
REFERENCES = (SOURCE_REPEATED, DRIVING_ITSELF)
"""Rows that are always there; no animator makes them."""


@attrs.frozen(eq=False)
class Scene:
    """One case. source: (1, 3, S, S), driving, results: (N, 3, S, S), all in [0, 1].  frames: numbers of the driving frames."""

    source: Tensor
    driving: Tensor
    results: Tensor
    frames: tuple[int, ...]


def found_frames(clip: Clip, span: int = 256) -> list[int]:
    """Frames of a clip in which the face was seen."""
    flags = torch.cat([rows.found for rows in iterate(clip.track, span)])
    return [int(i) for i in flags.nonzero().flatten()]


def choose_frames(found: list[int], frames: Frames, where: str) -> tuple[int, tuple[int, ...]]:
    """The source frame, the first of ``found``, and the driving frames among the later ones. Raises NoFaceError when there are none."""
    if len(found) < 2:
        raise NoFaceError(f"shows a face in {len(found)} frames, at least 2 are needed", where=where, fix="use a longer clip")
    later = found[1:][:: frames.stride]
    if frames.limit and len(later) > frames.limit:
        if frames.spread:
            places = torch.linspace(0, len(later) - 1, frames.limit).round().long().tolist()
            later = [later[p] for p in places]
        else:
            later = later[: frames.limit]
    return found[0], tuple(later)


def steady_frames(clip: Clip, found: list[int], count: int) -> tuple[int, ...]:
    """The run of ``count`` consecutive frames, all with the face seen and after the first one, in which its landmarks travel least.

    Raises NoFaceError when the clip has no such run.
    """
    points = torch.cat([rows.points[..., :2] for rows in iterate(clip.track, 256)])
    travel = (points[1:] - points[:-1]).norm(dim=-1).mean(1)  # (N - 1,)
    seen = set(found[1:])
    starts = [s for s in found[1:] if all(s + k in seen for k in range(count))]
    if not starts:
        what = f"has no {count} consecutive frames with a face after its first one"
        raise NoFaceError(what, where=str(clip.path), fix="lower temporal.frames, or use a longer clip")
    best = min(starts, key=lambda s: float(travel[s : s + count - 1].sum()))
    return tuple(range(best, best + count))


def same_scene(runner: Runner, row: str, item: Input, frames: tuple[int, ...], source: int) -> Scene:
    """A clip rebuilt from one of its own frames, absolute motion. ``row``: one of REFERENCES, or any animator's."""
    clip = runner.clip(item.path)
    driving = clip_crops(clip, frames)
    first = clip_crops(clip, (source,))
    if row in REFERENCES:
        return Scene(first, driving, _reference(row, first, driving), frames)
    identity, own = runner.frame_as_source(clip, source)
    return Scene(first, driving, _results(runner.render(identity, own, _rows(clip, frames))), frames)


def cross_scene(runner: Runner, row: str, item: Input, portrait: Input, frames: tuple[int, ...], cross: Cross) -> Scene:
    """A portrait moved by a clip of somebody else."""
    clip, made = runner.clip(item.path), runner.portrait(portrait.path)
    driving = clip_crops(clip, frames)
    source = crop_frames(made.rgb[None], made.square, SIDE, torch.device("cpu")).rgb
    if row in REFERENCES:
        return Scene(source, driving, _reference(row, source, driving), frames)
    kind = runner.facts.motion
    reference = find_reference(clip.motion, clip.track, "auto", str(item.path), kind)
    carry = Carry(clip.motion.read(reference, reference + 1), modes_of(cross.transfer(), kind))
    return Scene(source, driving, _results(runner.render(made.identity, made.motion, _rows(clip, frames), carry)), frames)


def clip_crops(clip: Clip, frames: tuple[int, ...]) -> Tensor:
    """Crops (N, 3, SIDE, SIDE) of frames of a clip, in ascending order, by its square."""
    source = FrameSource()
    try:
        parts = [crop_frames(source.read(clip.path, f, f + 1), clip.square, SIDE, torch.device("cpu")).rgb for f in frames]
    finally:
        source.close()
    return torch.cat(parts)


def resized(rgb: Tensor) -> Tensor:
    """Images (N, 3, S, S) at SIDE."""
    if rgb.shape[-1] == SIDE:
        return rgb
    return functional.interpolate(rgb, (SIDE, SIDE), mode="bilinear", antialias=True).clamp(0, 1)


def _results(rgb: Tensor) -> Tensor:
    return resized(rgb.permute(0, 3, 1, 2).float() / 255)


def _reference(row: str, source: Tensor, driving: Tensor) -> Tensor:
    return source.expand_as(driving) if row == SOURCE_REPEATED else driving


def _rows(clip: Clip, frames: tuple[int, ...]) -> Record:
    rows: Record = type(clip.motion.read(0, 1)).concatenate([clip.motion.read(f, f + 1) for f in frames])
    return rows
