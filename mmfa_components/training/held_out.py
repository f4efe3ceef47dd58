"""Figures and pictures of held-out people: frames of a clip rebuilt from its first one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from mmfa_components.geometry.openings import openings
from mmfa_components.geometry.squares import crop_squares
from mmfa_components.losses.landmarks import PARTS
from mmfa_components.metrics import psnr
from mmfa_components.training.clips import FaceClips
from mmfa_components.training.labels import IMAGE, Label, Rows

FRAMES_A_CLIP = 8
ROWS = 12
POINTS = [index for part in PARTS.values() for index in part]
REGION = "region"
"""Name of the label that says where the landmark network looks."""
REGION_SIDE = 256
"""Side of the landmark network's input, pixels."""

Rebuild = Callable[[Rows], Tensor]
"""Rows of 1 + N frames -> the last N frames rebuilt from the first, (N, 3, S, S)."""


def reconstruction_figures(
    rebuild: Rebuild,
    clips: FaceClips,
    labels: Mapping[str, Label],
    device: torch.device,
    landmarks: Callable[[Tensor], Tensor] | None = None,
) -> dict[str, float]:
    """Figures of reconstruction, and of the repeated source (``*_repeated``).

    They are means over clips of their means over frames. psnr: dB. With ``landmarks`` (face regions
    (N, 3, 256, 256) -> (N, 478, 2 or more) points), which needs the label "region", also
    landmark_distance: mean absolute distance of the landmark loss's 145 points over both axes,
    pixels of the crop; mouth, eyes: correlation of how far mouth and eyes are open in driving frame
    and result, each clip's mean taken off, over all frames.
    """
    found: dict[str, list[Tensor]] = {}
    opened: list[tuple[Tensor, Tensor]] = []
    for rows, result in _rebuilt(rebuild, clips, labels, device, FRAMES_A_CLIP):
        driving = rows[IMAGE][1:]
        still = rows[IMAGE][:1].expand_as(driving)
        for name, images in (("psnr", result), ("psnr_repeated", still)):
            found.setdefault(name, []).append(psnr(images, driving).clamp_max(100).mean())
        if landmarks is None:
            continue
        region = rows[REGION][1:]
        seen = [landmarks(crop_squares(images, region, REGION_SIDE))[..., :2] for images in (driving, result, still)]
        scale = (region[:, 2] / REGION_SIDE)[:, None, None]  # pixels of the crop in one of the region
        for name, points in (("", seen[1]), ("_repeated", seen[2])):
            distance = ((points - seen[0])[:, POINTS].abs() * scale).mean()
            found.setdefault(f"landmark_distance{name}", []).append(distance)
        opened.append((openings(seen[0]), openings(seen[1])))
    figures = {name: float(torch.stack(values).mean()) for name, values in found.items()}
    if opened:
        wanted, got = (torch.cat([part[i] - part[i].mean(0) for part in opened]) for i in (0, 1))
        norms = (wanted.norm(dim=0) * got.norm(dim=0)).clamp_min(1e-12)
        correlation = (wanted * got).sum(0) / norms  # of (N, 2)
        figures |= {"mouth": float(correlation[0]), "eyes": float(correlation[1])}
    return figures


def picture_of(rebuild: Rebuild, clips: FaceClips, labels: Mapping[str, Label], device: torch.device) -> Tensor:
    """A picture (3, H, W): two columns of source, driving frame farthest from it, result.

    The clips are spread over the split.
    """
    many = int((clips.lengths > 1).sum())
    stride = max(1, many // ROWS)
    strips = []
    for rows, result in _rebuilt(rebuild, clips, labels, device, 4, stride):
        source, driving = rows[IMAGE][:1], rows[IMAGE][1:]
        far = int((driving - source).abs().mean((1, 2, 3)).argmax())
        strips.append(torch.cat([source[0], driving[far], result[far]], -1))
    if not strips:
        return torch.zeros(3, 8, 8)
    chosen = strips[:ROWS]
    half = (len(chosen) + 1) // 2
    right = [*chosen[half:], *chosen[: 2 * half - len(chosen)]]
    columns = [torch.cat(chosen[:half], -2), torch.cat(right, -2)]
    return torch.cat(columns, -1).clamp(0, 1)


@torch.inference_mode()
def _rebuilt(
    rebuild: Rebuild,
    clips: FaceClips,
    labels: Mapping[str, Label],
    device: torch.device,
    frames: int,
    stride: int = 1,
) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
    """Of every ``stride``-th clip of more than one frame: 1 + ``frames`` rows, and results."""
    longer = [c for c in range(len(clips.lengths)) if int(clips.lengths[c]) > 1]
    for clip in longer[::stride]:
        start, length = int(clips.starts[clip]), int(clips.lengths[clip])
        spread = torch.linspace(start + length // 4, start + length - 1, frames).round().long()
        found = clips.frames(torch.cat([torch.tensor([start]), spread]))
        rows = {name: values.to(device) for name, values in found.items()}
        rows[IMAGE] = rows[IMAGE].float() / 255
        side = rows[IMAGE].shape[-1]
        rows |= {name: label.relative(rows[name], side) for name, label in labels.items()}
        yield rows, rebuild(rows)
