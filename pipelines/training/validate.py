"""Figures and pictures of held-out people: same-identity reconstruction, first frame of a clip as source."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from mmfa_components.metrics import psnr
from mmfa_components.networks.model import MMFAModel
from pipelines.training.dataset import FaceClips

FRAMES_A_CLIP = 8
ROWS = 12


@torch.inference_mode()
def reconstruct(model: MMFAModel, source: Tensor, source_rotation: Tensor, driving: Tensor, rotation: Tensor) -> Tensor:
    """The driving frames (N, 3, S, S) rebuilt from one source (1, 3, S, S), absolute motion, same person."""
    count = len(driving)
    images, rotations = torch.cat([source, driving]), torch.cat([source_rotation, rotation])
    scale, translation = model.affine_estimator(images)
    feature = model.expression_encoder(images)
    canonical = model.keypoint_detector(source)
    points = model.pose(canonical.expand(count + 1, -1, -1), feature, rotations, scale, translation)
    frame = scale[:, None, None] * rotations
    volume = model.appearance_extractor(source).expand(count, -1, -1, -1, -1)
    out, _ = model.render(volume, points[:1].expand(count, -1, -1), frame[:1].expand(count, -1, -1), points[1:], frame[1:])
    return out[-1]


def reconstruction_figures(model: MMFAModel, clips: FaceClips, device: torch.device) -> dict[str, float]:
    """PSNR in dB of reconstruction and of the repeated source, means over clips of their means over frames."""
    results, repeated = [], []
    for source, driving, result in _clips(model, clips, device, FRAMES_A_CLIP):
        results.append(psnr(result, driving).clamp_max(100).mean())
        repeated.append(psnr(source.expand_as(driving), driving).clamp_max(100).mean())
    if not results:
        return {}
    return {"psnr": float(torch.stack(results).mean()), "psnr_repeated": float(torch.stack(repeated).mean())}


def picture_of(model: MMFAModel, clips: FaceClips, device: torch.device) -> Tensor:
    """A picture (3, H, W): two columns of source, driving frame farthest from it, result; clips spread over the split."""
    many = int((clips.lengths > 1).sum())
    stride = max(1, many // ROWS)
    strips = []
    for source, driving, result in _clips(model, clips, device, 4, stride):
        far = int((driving - source).abs().mean((1, 2, 3)).argmax())
        strips.append(torch.cat([source[0], driving[far], result[far]], -1))
    if not strips:
        return torch.zeros(3, 8, 8)
    chosen = strips[:ROWS]
    half = (len(chosen) + 1) // 2
    columns = [torch.cat(chosen[:half], -2), torch.cat([*chosen[half:], *chosen[: 2 * half - len(chosen)]], -2)]
    return torch.cat(columns, -1).clamp(0, 1)


@torch.inference_mode()
def _clips(model: MMFAModel, clips: FaceClips, device: torch.device, frames: int, stride: int = 1) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Source (1, 3, S, S), driving frames and results (frames, 3, S, S) of every ``stride``-th clip of more than one frame."""
    model.eval()
    longer = [c for c in range(len(clips.lengths)) if int(clips.lengths[c]) > 1]
    for clip in longer[::stride]:
        start, length = int(clips.starts[clip]), int(clips.lengths[clip])
        index = torch.cat([torch.tensor([start]), torch.linspace(start + length // 4, start + length - 1, frames).round().long()])
        rgb, rotation, *_ = (t.to(device) for t in clips.frames(index))
        images = rgb.float() / 255
        yield images[:1], images[1:], reconstruct(model, images[:1], rotation[:1], images[1:], rotation[1:])
