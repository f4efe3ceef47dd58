"""Pairs of images of one person: which frames, and how they are varied.

They are drawn for the whole batch, then cut among the workers.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import torch
from torch import Tensor

from mmfa_components.training.clips import FaceClips, Pairs
from mmfa_components.training.labels import IMAGE, Image, Label, PictureMove
from mmfa_components.training.reshape import BUMPS, NUMBERS, Bumps, bumps_on_heads, posed
from pipelines.training.schema import Data

PICTURES = Image(lambda faces: faces.points[:, :0])
"""How the pictures themselves change; they are read apart from the labels."""
RESHAPED = ("shape", "rotation", "place")
"""Labels that faces of another shape are made with (see training.labels)."""


@attrs.frozen(eq=False)
class Draw:
    """What was drawn for a batch of B pairs, on the CPU; the first axis counts the pairs.

    frames: (B, 2) numbers of the source and driving frames.  single: (B,) bool, single portraits.
    moved: (B,) bool, these and some others.  mirrored: (B,) bool.
    motion: (B, 2, 4) in [-1, 1], how those to be moved are.
    colour: (B, 6) in [-1, 1], brightness, contrast, saturation, red, green and blue.
    reshaped: (B,) bool, faces of another shape.
    bumps: (B, K, 8) in [0, 1), see training.reshape.
    """

    frames: Tensor
    single: Tensor
    moved: Tensor
    mirrored: Tensor
    motion: Tensor
    colour: Tensor
    reshaped: Tensor
    bumps: Tensor

    def part(self, rank: int, world: int) -> Draw:
        """Every ``world``-th pair, from ``rank`` on."""
        return Draw(*(drawn[rank::world] for drawn in attrs.astuple(self, recurse=False)))

    def to(self, device: torch.device) -> Draw:
        """The same on ``device``."""
        return Draw(*(drawn.to(device) for drawn in attrs.astuple(self, recurse=False)))


@attrs.frozen(eq=False)
class PairSource:
    """Batches of pairs of a split. labels: how its rows change.  data: shares and strengths."""

    clips: FaceClips
    labels: Mapping[str, Label]
    data: Data

    def __len__(self) -> int:
        return len(self.clips)

    def batch(self, count: int, generator: torch.Generator, rank: int, world: int, device: torch.device) -> Pairs:
        """See ``training.recipe.Material``."""
        draw = draw_pairs(self.clips, count, generator, self.data)
        return make_pairs(self.clips, self.labels, draw.part(rank, world), device)


def draw_pairs(clips: FaceClips, count: int, generator: torch.Generator, data: Data) -> Draw:
    """Draw ``count`` pairs: two frames of one clip, or twice one portrait.

    Longer clips are drawn more often, as the square root of their length.
    """
    weight = clips.lengths.float().sqrt() * (clips.lengths > 1)
    alone = (clips.lengths == 1).float()
    if alone.sum() > 0 and weight.sum() > 0:
        weight = weight / weight.sum() * (1 - data.stills) + alone / alone.sum() * data.stills
    elif weight.sum() == 0:
        weight = alone
    clip = torch.multinomial(weight, count, replacement=True, generator=generator)
    start, length = clips.starts[clip], clips.lengths[clip]
    frames = (torch.rand(2, count, generator=generator) * length).long() + start
    mirrored = torch.rand(count, generator=generator) < (0.5 if data.flip else 0.0)
    motion = 2 * torch.rand(2, count, 4, generator=generator) - 1
    most = torch.tensor([data.jitter] * 3 + [data.tint] * 3)
    colour = (2 * torch.rand(count, 6, generator=generator) - 1) * most
    moved = (length == 1) | (torch.rand(count, generator=generator) < data.moved)
    reshaped = torch.rand(count, generator=generator) < data.reshaped
    bumps = torch.rand(count, BUMPS, NUMBERS, generator=generator)
    motion = motion.transpose(0, 1)
    return Draw(frames.T, length == 1, moved, mirrored, motion, colour, reshaped, bumps)


def make_pairs(clips: FaceClips, labels: Mapping[str, Label], draw: Draw, device: torch.device) -> Pairs:
    """The pairs of a draw, on ``device``: pictures and the rows of all labels."""
    there, made = draw.to(device), []
    for which in (0, 1):
        found = clips.frames(draw.frames[:, which])
        rows = {name: values.to(device, non_blocking=True) for name, values in found.items()}
        rows = _changed(rows, {IMAGE: PICTURES, **labels}, draw, there, which)
        if bool(draw.colour.any()):
            rows[IMAGE] = jitter(rows[IMAGE], there.colour)
        side = rows[IMAGE].shape[-1]
        rows |= {name: label.relative(rows[name], side) for name, label in labels.items()}
        made.append(rows)
    return Pairs(*made)


def _changed(
    rows: dict[str, Tensor],
    labels: Mapping[str, Label],
    draw: Draw,
    there: Draw,
    which: int,
) -> dict[str, Tensor]:
    """Rows mirrored, reshaped and moved as drawn; pictures as float in [0, 1].

    there: the draw on the device of the rows; decisions are read off the CPU.
    """
    rows, bumps = mirror(rows, labels, there.mirrored), None
    if bool(draw.reshaped.any()):
        rows, bumps = reshape(rows, labels, there.reshaped, there.bumps)
    if bumps is not None or bool(draw.moved.any()):
        rows = move(rows, labels, there.moved, there.motion[:, which], bumps)
    return rows


def jitter(rgb: Tensor, colour: Tensor) -> Tensor:
    """Images (B, 3, S, S) with other colours, cut to [0, 1].

    colour: (B, 6) changes of brightness, contrast, saturation, red, green and blue, 0 = not at all.
    """
    brightness, contrast, saturation = (1 + colour[:, i].view(-1, 1, 1, 1) for i in range(3))
    rgb = rgb * (1 + colour[:, 3:, None, None])
    grey = rgb.mean(1, keepdim=True)
    rgb = grey + (rgb - grey) * saturation
    mean = grey.mean((2, 3), keepdim=True)
    return ((mean + (rgb - mean) * contrast) * brightness).clamp(0, 1)


def mirror(rows: Mapping[str, Tensor], labels: Mapping[str, Label], mirrored: Tensor) -> dict[str, Tensor]:
    """Those of the frames that ``mirrored`` (B,) names, mirrored; pictures as float in [0, 1]."""
    rows = {**rows, IMAGE: rows[IMAGE].float() / 255}
    side = float(rows[IMAGE].shape[-1])
    found = {}
    for name, values in rows.items():
        chosen = mirrored.view(-1, *[1] * (values.dim() - 1))
        found[name] = torch.where(chosen, labels[name].mirrored(values, side), values)
    return found


def reshape(rows: Mapping[str, Tensor], labels: Mapping[str, Label], reshaped: Tensor, random: Tensor) -> tuple[dict[str, Tensor], Bumps]:
    """Those that ``reshaped`` (B,) names with faces of another shape.

    Labels are changed here, pictures by ``move``, which takes the bumps, posed and in pixels, that
    are returned; they push nothing where nothing is to be changed.
    """
    shape, rotation, place = (rows[name] for name in RESHAPED)
    heads = bumps_on_heads(shape, random)
    heads = attrs.evolve(heads, push=heads.push * reshaped[:, None, None])
    seen = posed(heads, rotation, place)
    return {name: labels[name].reshaped(values, heads, seen) for name, values in rows.items()}, seen


def move(
    rows: Mapping[str, Tensor],
    labels: Mapping[str, Label],
    moved: Tensor,
    random: Tensor,
    bumps: Bumps | None = None,
) -> dict[str, Tensor]:
    """Move those that ``moved`` (B,) names by random similarities, others not.

    Angle +-0.25 rad, zoom 1 to 1.3, shift +-0.1 (in units of half the side).
    bumps: of ``reshape``, looked up in the same pass, so that pictures are resampled once.
    """
    on = moved.float()
    angle, zoom = 0.25 * random[:, 0] * on, torch.exp(on * (0.13 + 0.13 * random[:, 1]))
    shift = 0.1 * random[:, 2:] * on[:, None]
    made = PictureMove(angle, zoom, shift, rows[IMAGE].shape[-1], moved, bumps)
    return {name: labels[name].moved(values, made) for name, values in rows.items()}
