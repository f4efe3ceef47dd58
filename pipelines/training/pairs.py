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
from pipelines.training.reshape import BUMPS, NUMBERS, Bumps, bumps_on_heads, posed
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
    """What was drawn for a batch of B pairs, on the CPU; the first axis of every tensor counts the pairs.

    frames: (B, 2) numbers of the source and driving frames.  single: (B,) bool, single portraits.  moved: (B,) bool, these and some others.
    mirrored: (B,) bool.  motion: (B, 2, 4) in [-1, 1], how those to be moved are.  colour: (B, 6) in [-1, 1], brightness, contrast, saturation,
    and how bright red, green and blue are.  reshaped: (B,) bool, faces of another shape.  bumps: (B, K, 8) in [0, 1), see training.reshape.
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
    most = torch.tensor([data.jitter] * 3 + [data.tint] * 3)
    colour = (2 * torch.rand(count, 6, generator=generator) - 1) * most
    moved = (length == 1) | (torch.rand(count, generator=generator) < data.moved)
    reshaped = torch.rand(count, generator=generator) < data.reshaped
    bumps = torch.rand(count, BUMPS, NUMBERS, generator=generator)
    return Draw(frames.T, length == 1, moved, mirrored, motion.transpose(0, 1), colour, reshaped, bumps)


def make_pairs(clips: FaceClips, draw: Draw, device: torch.device) -> Pairs:
    """The images of a draw, on ``device``."""
    mirrored, moved, reshaped, random, colour = (t.to(device) for t in (draw.mirrored, draw.moved, draw.reshaped, draw.bumps, draw.colour))
    coloured, some_reshaped = bool(draw.colour.any()), bool(draw.reshaped.any())
    some = bool(draw.moved.any()) or some_reshaped
    made = []
    for which in (0, 1):
        frames, bumps = mirror(clips.frames(draw.frames[:, which]).to(device), mirrored), None
        if some_reshaped:
            frames, bumps = reshape(frames, reshaped, random)
        if some:
            frames = move(frames, moved, draw.motion[:, which].to(device), bumps)
        made.append(attrs.evolve(frames, rgb=jitter(frames.rgb, colour)) if coloured else frames)
    s, d = made
    (guide_s, place_s), (guide_d, place_d) = (_relative(frames) for frames in made)
    return Pairs(s.rgb, d.rgb, s.rotation, d.rotation, d.region, guide_s, guide_d, place_s, place_d, s.shape, d.shape)


def _relative(frames: Varied) -> tuple[Tensor, Tensor]:
    """Guide landmarks and place of frames over the image, [-1, 1]."""
    half = frames.rgb.shape[-1] / 2
    return frames.guide / half - 1, torch.cat([frames.place[:, :2] / half - 1, (frames.place[:, 2:] / half).log()], 1)


def jitter(rgb: Tensor, colour: Tensor) -> Tensor:
    """Images (B, 3, S, S) with brightness, contrast, saturation, red, green and blue changed by ``colour`` (B, 6), 0 = not at all; cut to [0, 1]."""
    brightness, contrast, saturation = (1 + colour[:, i].view(-1, 1, 1, 1) for i in range(3))
    rgb = rgb * (1 + colour[:, 3:, None, None])
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


def reshape(frames: Varied, reshaped: Tensor, random: Tensor) -> tuple[Varied, Bumps]:
    """Those that ``reshaped`` (B,) names with faces of another shape: landmarks and shape changed, images left to ``move``, which
    takes the bumps, posed and in pixels, that are returned; they push nothing where nothing is to be changed.
    """
    heads = bumps_on_heads(frames.shape, random)
    heads = attrs.evolve(heads, push=heads.push * reshaped[:, None, None])
    seen = posed(heads, frames.rotation, frames.place)
    return attrs.evolve(frames, guide=seen.carry(frames.guide), shape=heads.carry(frames.shape)), seen


def move(frames: Varied, moved: Tensor, random: Tensor, bumps: Bumps | None = None) -> Varied:
    """Move those that ``moved`` (B,) names by random similarities (angle +-0.25 rad, zoom 1 to 1.3, shift +-0.1), others not.

    bumps: of ``reshape``, looked up in the same pass, so that images are resampled once.
    """
    rgb, region, place, on = frames.rgb, frames.region, frames.place, moved.float()
    angle, zoom = 0.25 * random[:, 0] * on, torch.exp(on * (0.13 + 0.13 * random[:, 1]))
    shift = 0.1 * random[:, 2:] * on[:, None]
    # content moves by y = zoom Rz(angle) x + shift, so output y samples input x = Rz(-angle) (y - shift) / zoom
    inverse = similarity(-angle, 1 / zoom, torch.zeros_like(shift))
    side = rgb.shape[-1]
    grid = grid_points((side, side), rgb.device).view(1, -1, 2) - shift[:, None]
    where, half = (inverse[:, None, :, :2] * grid[:, :, None, :]).sum(-1), side / 2  # (B, S * S, 2)
    changed = moved
    if bumps is not None:
        where = where - bumps.at((where + 1) * half) / half
        changed = moved | bumps.push.flatten(1).any(1)
    image = functional.grid_sample(rgb, where.view(-1, side, side, 2), "bicubic", "reflection", align_corners=False).clamp(0, 1)
    points = torch.cat([region[:, None, :2], place[:, None, :2], frames.guide], 1) / half - 1  # (B, 2 + G, 2)
    points = (apply_affine(similarity(angle, zoom, shift), points) + 1) * half
    return Varied(
        torch.where(changed[:, None, None, None], image, rgb),
        rotate_in_plane(frames.rotation, angle),
        torch.cat([points[:, 0], (region[:, 2] * zoom)[:, None], (region[:, 3] + angle)[:, None]], 1),
        points[:, 2:],
        torch.cat([points[:, 1], (place[:, 2] * zoom)[:, None]], 1),
        frames.shape,
    )
