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
from mmfa_components.geometry.shape import mirror_shape
from mmfa_components.losses.guide import mirror_guide
from pipelines.training.dataset import FaceClips, Varied
from pipelines.training.schema import Data

MIRROR = (-1.0, 1.0, 1.0)


@attrs.frozen(eq=False)
class Pairs:
    """A batch of image pairs of one person each.

    source, driving: (B, 3, S, S) float in [0, 1].  source_rotation, driving_rotation: (B, 3, 3).
    driving_region: (B, 4) landmark square of the driving image, see records.FaceRegions.
    source_guide, driving_guide: (B, G, 2) landmarks of losses.guide in [-1, 1] over the image.
    source_place, driving_place: (B, 3) of losses.guide.place_loss: x, y in [-1, 1] over the image, log scale.
    source_shape, driving_shape: (B, 107, 3) of geometry.shape.
    """

    source: Tensor
    driving: Tensor
    source_rotation: Tensor
    driving_rotation: Tensor
    driving_region: Tensor
    source_guide: Tensor
    driving_guide: Tensor
    source_place: Tensor
    driving_place: Tensor
    source_shape: Tensor
    driving_shape: Tensor

    def __len__(self) -> int:
        return len(self.source)


@attrs.frozen(eq=False)
class Draw:
    """What was drawn for a batch of B pairs, on the CPU.

    frames: (2, B) numbers of the source and driving frames.  single: (B,) bool, single portraits.  moved: (B,) bool, these and some others.
    mirrored: (B,) bool.  motion: (2, B, 4) in [-1, 1], how those to be moved are.  colour: (B, 3) in [-1, 1], brightness, contrast, saturation.
    """

    frames: Tensor
    single: Tensor
    moved: Tensor
    mirrored: Tensor
    motion: Tensor
    colour: Tensor

    def part(self, rank: int, world: int) -> Draw:
        """Every ``world``-th pair, from ``rank`` on."""
        return Draw(self.frames[:, rank::world], self.single[rank::world], self.moved[rank::world], self.mirrored[rank::world],
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
    moved = (length == 1) | (torch.rand(count, generator=generator) < data.moved)
    return Draw(frames, length == 1, moved, mirrored, motion, colour)


def make_pairs(clips: FaceClips, draw: Draw, device: torch.device) -> Pairs:
    """The images of a draw, on ``device``."""
    mirrored, moved = draw.mirrored.to(device), draw.moved.to(device)
    some, coloured = bool(draw.moved.any()), bool(draw.colour.any())
    made = []
    for which in (0, 1):
        frames = mirror(clips.frames(draw.frames[which]).to(device), mirrored)
        if some:
            frames = move(frames, moved, draw.motion[which].to(device))
        made.append(attrs.evolve(frames, rgb=jitter(frames.rgb, draw.colour.to(device))) if coloured else frames)
    s, d = made
    (guide_s, place_s), (guide_d, place_d) = (_relative(frames) for frames in made)
    return Pairs(s.rgb, d.rgb, s.rotation, d.rotation, d.region, guide_s, guide_d, place_s, place_d, s.shape, d.shape)


def _relative(frames: Varied) -> tuple[Tensor, Tensor]:
    """Guide landmarks and place of frames over the image, [-1, 1]."""
    half = frames.rgb.shape[-1] / 2
    return frames.guide / half - 1, torch.cat([frames.place[:, :2] / half - 1, (frames.place[:, 2:] / half).log()], 1)


def jitter(rgb: Tensor, colour: Tensor) -> Tensor:
    """Images (B, 3, S, S) with brightness, contrast and saturation changed by ``colour`` (B, 3), 0 = not at all; cut to [0, 1]."""
    brightness, contrast, saturation = (1 + colour[:, i].view(-1, 1, 1, 1) for i in range(3))
    grey = rgb.mean(1, keepdim=True)
    rgb = grey + (rgb - grey) * saturation
    mean = grey.mean((2, 3), keepdim=True)
    return ((mean + (rgb - mean) * contrast) * brightness).clamp(0, 1)


def mirror(frames: Varied, mirrored: Tensor) -> Varied:
    """Those of the frames that ``mirrored`` (B,) names, mirrored; images of all of them as float in [0, 1]."""
    rgb, side = frames.rgb.float() / 255, float(frames.rgb.shape[-1])
    sign = torch.tensor(MIRROR, device=rgb.device)
    region, place = frames.region.clone(), frames.place.clone()
    region[:, 0], place[:, 0] = side - region[:, 0], side - place[:, 0]
    region[:, 3] *= -1
    m = mirrored[:, None]
    return Varied(
        torch.where(m[..., None, None], rgb.flip(-1), rgb),
        torch.where(m[..., None], frames.rotation * sign[:, None] * sign[None], frames.rotation),  # mirror M: M R M
        torch.where(m, region, frames.region),
        torch.where(m[..., None], mirror_guide(frames.guide, side), frames.guide),
        torch.where(m, place, frames.place),
        torch.where(m[..., None], mirror_shape(frames.shape), frames.shape),
    )


def move(frames: Varied, moved: Tensor, random: Tensor) -> Varied:
    """Move those that ``moved`` (B,) names by random similarities (angle +-0.25 rad, zoom 1 to 1.3, shift +-0.1), others not."""
    rgb, region, place, on = frames.rgb, frames.region, frames.place, moved.float()
    angle, zoom = 0.25 * random[:, 0] * on, torch.exp(on * (0.13 + 0.13 * random[:, 1]))
    shift = 0.1 * random[:, 2:] * on[:, None]
    # content moves by y = zoom Rz(angle) x + shift, so output y samples input x = Rz(-angle) (y - shift) / zoom
    inverse = similarity(-angle, 1 / zoom, torch.zeros_like(shift))
    side = rgb.shape[-1]
    grid = grid_points((side, side), rgb.device).view(1, -1, 2) - shift[:, None]
    where = (inverse[:, None, :, :2] * grid[:, :, None, :]).sum(-1).view(-1, side, side, 2)
    image = functional.grid_sample(rgb, where, padding_mode="reflection", align_corners=False)
    half = side / 2
    points = torch.cat([region[:, None, :2], place[:, None, :2], frames.guide], 1) / half - 1  # (B, 2 + G, 2)
    points = (apply_affine(similarity(angle, zoom, shift), points) + 1) * half
    return Varied(
        torch.where(moved[:, None, None, None], image, rgb),
        rotate_in_plane(frames.rotation, angle),
        torch.cat([points[:, 0], (region[:, 2] * zoom)[:, None], (region[:, 3] + angle)[:, None]], 1),
        points[:, 2:],
        torch.cat([points[:, 1], (place[:, 2] * zoom)[:, None]], 1),
        frames.shape,
    )
