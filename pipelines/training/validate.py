"""Figures and a picture of held-out people: same-identity reconstruction, first frame of a clip as source."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from mmfa_components.metrics import psnr
from mmfa_components.networks.model import MMFAModel
from pipelines.training.dataset import FaceClips


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


@torch.inference_mode()
def validate(model: MMFAModel, clips: FaceClips, picture: Path, per_clip: int = 8, rows: int = 10) -> dict[str, float]:
    """PSNR of reconstruction and of the repeated source, mean over clips, and a picture: source, driving, result per row."""
    model.eval()
    results, repeated, strips = [], [], []
    for start, length in zip(clips.starts.tolist(), clips.lengths.tolist(), strict=True):
        if length < 2:
            continue
        index = torch.linspace(start + length // 4, start + length - 1, per_clip, device=clips.rgb.device).long()
        source, driving = clips.rgb[start : start + 1].float() / 255, clips.rgb[index].float() / 255
        result = reconstruct(model, source, clips.rotation[start : start + 1], driving, clips.rotation[index])
        results.append(psnr(result, driving).mean())
        repeated.append(psnr(source.expand_as(driving), driving).mean())
        far = int((driving - source).abs().mean((1, 2, 3)).argmax())
        strips.append(torch.cat([source[0], driving[far], result[far]], -1))
    chosen = strips[:: max(1, len(strips) // rows)][:rows]
    half = (len(chosen) + 1) // 2
    columns = [torch.cat(chosen[:half], -2), torch.cat([*chosen[half:], *chosen[: 2 * half - len(chosen)]], -2)]
    sheet = (torch.cat(columns, -1).clamp(0, 1) * 255).byte().permute(1, 2, 0).cpu().numpy()
    Image.fromarray(sheet).save(picture)
    return {"psnr": float(torch.stack(results).mean()), "psnr_repeated": float(torch.stack(repeated).mean())}
