"""Pairs of images of one person: which frames, and how they are varied. Drawn for the whole batch, then cut among the workers."""

from __future__ import annotations

import attrs
import torch
from torch import Tensor
from torch.nn import functional

from mmfa_components.geometry.apply import apply_affine
from mmfa_components.geometry.compose import similarity
from mmfa_components.geometry.grid import grid_points
from mmfa_components.geometry.rotations import rotate_in_plane
from mmfa_components.losses.guide import mirror_guide
from pipelines.training.dataset import FaceClips
from pipelines.training.schema import Data

MIRROR = (-1.0, 1.0, 1.0)


@attrs.frozen(eq=False)
class Pairs:
    """A batch of image pairs of one person each.

    source, driving: (B, 3, S, S) float in [0, 1].  source_rotation, driving_rotation: (B, 3, 3).
    driving_region: (B, 4) landmark square of the driving image, see records.FaceRegions.
    source_guide, driving_guide: (B, G, 2) landmarks of losses.guide in [-1, 1] over the image.
    """

    source: Tensor
    driving: Tensor
    source_rotation: Tensor
    driving_rotation: Tensor
    driving_region: Tensor
    source_guide: Tensor
    driving_guide: Tensor

    def __len__(self) -> int:
        return len(self.source)


@attrs.frozen(eq=False)
class Draw:
    """What was drawn for a batch of B pairs, on the CPU.

    frames: (2, B) numbers of the source and driving frames.  single: (B,) bool, single portraits.  mirrored: (B,) bool.
    motion: (2, B, 4) in [-1, 1], how single portraits are moved.  colour: (B, 3) in [-1, 1], brightness, contrast, saturation.
    """

    frames: Tensor
    single: Tensor
    mirrored: Tensor
    motion: Tensor
    colour: Tensor

    def part(self, rank: int, world: int) -> Draw:
        """Every ``world``-th pair, from ``rank`` on."""
        return Draw(self.frames[:, rank::world], self.single[rank::world], self.mirrored[rank::world],
                    self.motion[:, rank::world], self.colour[rank::world])  # fmt: skip


def draw_pairs(clips: FaceClips, count: int, generator: torch.Generator, data: Data) -> Draw:
    """Draw ``count`` pairs: two frames of one clip (longer clips more often, as the square root), or twice one portrait."""
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
    colour = (2 * torch.rand(count, 3, generator=generator) - 1) * data.jitter
    return Draw(frames, length == 1, mirrored, motion, colour)


def make_pairs(clips: FaceClips, draw: Draw, device: torch.device) -> Pairs:
    """The images of a draw, on ``device``."""
    mirrored, single = draw.mirrored.to(device), draw.single.to(device)
    singles, coloured = bool(draw.single.any()), bool(draw.colour.any())
    made = []
    for which in (0, 1):
        rgb, rotation, region, guide = (t.to(device, non_blocking=True) for t in clips.frames(draw.frames[which]))
        rgb, rotation, region, guide = _mirror(rgb.float() / 255, rotation, region, guide, mirrored)
        if singles:
            rgb, rotation, region, guide = move_singles(rgb, rotation, region, guide, single, draw.motion[which].to(device))
        made.append((jitter(rgb, draw.colour.to(device)) if coloured else rgb, rotation, region, 2 * guide / rgb.shape[-1] - 1))
    (source, source_rotation, _, source_guide), (driving, driving_rotation, region, driving_guide) = made
    return Pairs(source, driving, source_rotation, driving_rotation, region, source_guide, driving_guide)


def jitter(rgb: Tensor, colour: Tensor) -> Tensor:
    """Images (B, 3, S, S) with brightness, contrast and saturation changed by ``colour`` (B, 3), 0 = not at all; cut to [0, 1]."""
    brightness, contrast, saturation = (1 + colour[:, i].view(-1, 1, 1, 1) for i in range(3))
    grey = rgb.mean(1, keepdim=True)
    rgb = grey + (rgb - grey) * saturation
    mean = grey.mean((2, 3), keepdim=True)
    return ((mean + (rgb - mean) * contrast) * brightness).clamp(0, 1)


Varied = tuple[Tensor, Tensor, Tensor, Tensor]
"""Images, rotations, regions and guide landmarks in pixels."""


def _mirror(rgb: Tensor, rotation: Tensor, region: Tensor, guide: Tensor, mirrored: Tensor) -> Varied:
    sign = torch.tensor(MIRROR, device=rgb.device)
    other = rotation * sign[:, None] * sign[None]  # mirror M: M R M
    flipped = region * torch.tensor([-1.0, 1.0, 1.0, -1.0], device=rgb.device)
    flipped = flipped + torch.tensor([float(rgb.shape[-1]), 0.0, 0.0, 0.0], device=rgb.device)
    m = mirrored[:, None]
    return (
        torch.where(m[..., None, None], rgb.flip(-1), rgb),
        torch.where(m[..., None], other, rotation),
        torch.where(m, flipped, region),
        torch.where(m[..., None], mirror_guide(guide, float(rgb.shape[-1])), guide),
    )


def move_singles(rgb: Tensor, rotation: Tensor, region: Tensor, guide: Tensor, single: Tensor, random: Tensor) -> Varied:
    """Move single portraits by random similarities (angle +-0.25 rad, zoom 1 to 1.3, shift +-0.1); leave others as they are."""
    on = single.float()
    angle, zoom = 0.25 * random[:, 0] * on, torch.exp(on * (0.13 + 0.13 * random[:, 1]))
    shift = 0.1 * random[:, 2:] * on[:, None]
    # content moves by y = zoom Rz(angle) x + shift, so output y samples input x = Rz(-angle) (y - shift) / zoom
    inverse = similarity(-angle, 1 / zoom, torch.zeros_like(shift))
    side = rgb.shape[-1]
    grid = grid_points((side, side), rgb.device).view(1, -1, 2) - shift[:, None]
    where = (inverse[:, None, :, :2] * grid[:, :, None, :]).sum(-1).view(-1, side, side, 2)
    moved = functional.grid_sample(rgb, where, padding_mode="reflection", align_corners=False)
    rgb = torch.where(single[:, None, None, None], moved, rgb)
    half = side / 2
    points = torch.cat([region[:, None, :2], guide], 1) / half - 1  # (B, 1 + G, 2)
    points = (apply_affine(similarity(angle, zoom, shift), points) + 1) * half
    region = torch.cat([points[:, 0], (region[:, 2] * zoom)[:, None], (region[:, 3] + angle)[:, None]], 1)
    return rgb, rotate_in_plane(rotation, angle), region, points[:, 1:]
