"""Figures and pictures of held-out people: same-identity reconstruction, first frame of a clip as source."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from mmfa_components.geometry.openings import openings
from mmfa_components.geometry.squares import crop_squares
from mmfa_components.losses.landmarks import PARTS
from mmfa_components.metrics import psnr
from mmfa_components.networks.model import MMFAModel
from pipelines.training.dataset import FaceClips
from pipelines.training.step import REGION_SIDE

FRAMES_A_CLIP = 8
ROWS = 12
POINTS = [index for part in PARTS.values() for index in part]


@torch.inference_mode()
def reconstruct(model: MMFAModel, images: Tensor, rotations: Tensor, shapes: Tensor) -> Tensor:
    """All frames but the first rebuilt from the first, absolute motion: images (1 + N, 3, S, S), rotations and shapes -> (N, 3, S, S)."""
    source, count = images[:1], len(images) - 1
    scale, translation = model.affine_estimator(images)
    feature = model.expression(images, shapes)
    canonical = model.keypoint_detector(source)
    points = model.pose(canonical.expand(count + 1, -1, -1), feature, rotations, scale, translation)
    frame = scale[:, None, None] * rotations
    volume = model.appearance_extractor(source).expand(count, -1, -1, -1, -1)
    still, posed, turned = (t[:1].expand(count, *t.shape[1:]) for t in (images, points, frame))
    out, _ = model.render(still, volume, posed, turned, points[1:], frame[1:])
    return out[-1]


def reconstruction_figures(
    model: MMFAModel, clips: FaceClips, device: torch.device, landmarks: Callable[[Tensor], Tensor] | None = None
) -> dict[str, float]:
    """Figures of reconstruction, and of the repeated source (``*_repeated``); means over clips of their means over frames.

    psnr: dB.  With ``landmarks`` (face regions (N, 3, 256, 256) -> (N, 478, 2 or more) points) also landmark_distance: mean absolute
    distance of the loss's 145 points over both axes, pixels of the crop; mouth, eyes: correlation of how far mouth and eyes are open in
    driving frame and result, each clip's mean taken off, over all frames.
    """
    found: dict[str, list[Tensor]] = {}
    opened: list[tuple[Tensor, Tensor]] = []
    for source, driving, result, region in _clips(model, clips, device, FRAMES_A_CLIP):
        still = source.expand_as(driving)
        for name, images in (("psnr", result), ("psnr_repeated", still)):
            found.setdefault(name, []).append(psnr(images, driving).clamp_max(100).mean())
        if landmarks is None:
            continue
        seen = [landmarks(crop_squares(images, region, REGION_SIDE))[..., :2] for images in (driving, result, still)]
        scale = (region[:, 2] / REGION_SIDE)[:, None, None]  # pixels of the crop in one of the region
        for name, points in (("landmark_distance", seen[1]), ("landmark_distance_repeated", seen[2])):
            found.setdefault(name, []).append(((points - seen[0])[:, POINTS].abs() * scale).mean())
        opened.append((openings(seen[0]), openings(seen[1])))
    figures = {name: float(torch.stack(values).mean()) for name, values in found.items()}
    if opened:
        wanted, got = (torch.cat([part[i] - part[i].mean(0) for part in opened]) for i in (0, 1))  # (N, 2)
        correlation = (wanted * got).sum(0) / (wanted.norm(dim=0) * got.norm(dim=0)).clamp_min(1e-12)
        figures |= {"mouth": float(correlation[0]), "eyes": float(correlation[1])}
    return figures


def picture_of(model: MMFAModel, clips: FaceClips, device: torch.device) -> Tensor:
    """A picture (3, H, W): two columns of source, driving frame farthest from it, result; clips spread over the split."""
    many = int((clips.lengths > 1).sum())
    stride = max(1, many // ROWS)
    strips = []
    for source, driving, result, _ in _clips(model, clips, device, 4, stride):
        far = int((driving - source).abs().mean((1, 2, 3)).argmax())
        strips.append(torch.cat([source[0], driving[far], result[far]], -1))
    if not strips:
        return torch.zeros(3, 8, 8)
    chosen = strips[:ROWS]
    half = (len(chosen) + 1) // 2
    columns = [torch.cat(chosen[:half], -2), torch.cat([*chosen[half:], *chosen[: 2 * half - len(chosen)]], -2)]
    return torch.cat(columns, -1).clamp(0, 1)


@torch.inference_mode()
def _clips(model: MMFAModel, clips: FaceClips, device: torch.device, frames: int, stride: int = 1) -> Iterator[tuple[Tensor, ...]]:
    """Of every ``stride``-th clip of more than one frame: source (1, 3, S, S), driving frames and results (frames, 3, S, S), and the
    regions of the driving frames (frames, 4).
    """
    model.eval()
    longer = [c for c in range(len(clips.lengths)) if int(clips.lengths[c]) > 1]
    for clip in longer[::stride]:
        start, length = int(clips.starts[clip]), int(clips.lengths[clip])
        index = torch.cat([torch.tensor([start]), torch.linspace(start + length // 4, start + length - 1, frames).round().long()])
        found = clips.frames(index).to(device)
        images = found.rgb.float() / 255
        yield images[:1], images[1:], reconstruct(model, images, found.rotation, found.shape), found.region[1:]
