"""Pictures for the report, as small JPEG files: source, driving frames above results."""

from __future__ import annotations

import base64
import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from pipelines.evaluation.ledger import Case
from pipelines.evaluation.scenes import Scene

TILE = 112
MOMENTS = 4
QUALITY = 85


def scene_strip(scene: Scene, value: Tensor | None) -> Tensor:
    """A JPEG (bytes as uint8): the source, then at a few moments the driving frame above the result; the last one is the worst frame.

    value: (N,) badness of each result, larger is worse; None: moments only.
    """
    count = len(scene.results)
    moments = sorted({round(i * (count - 1) / max(1, MOMENTS - 1)) for i in range(MOMENTS)})
    if value is not None and not bool(value.isnan().all()):
        worst = int(value.nan_to_num(torch.inf).argmax())  # no face at all is the worst
        moments = [*[m for m in moments if m != worst][: MOMENTS - 1], worst]
    columns = [torch.cat([torch.ones_like(scene.source[0]), scene.source[0]], 1)]
    columns += [torch.cat([scene.driving[m], scene.results[m]], 1) for m in moments]
    return _jpeg(torch.cat(columns, 2))


def sweep_strip(still: Tensor, images: Tensor) -> Tensor:
    """A JPEG of a portrait's sweeps: the unmoved result, then for every attribute the result at the low end above that at the high end.

    still: (3, S, S) uint8.  images: (7, 2, 3, S, S) uint8.
    """
    columns = [torch.cat([torch.full_like(still, 255), still], 1)] + [torch.cat([low, high], 1) for low, high in images]
    return _jpeg(torch.cat(columns, 2).float() / 255)


def data_uri(jpeg: Tensor) -> str:
    """A JPEG (uint8) as a data URI."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.numpy().tobytes()).decode("ascii")


def worst_first(cases: list[Case], key: str, higher: bool) -> list[Case]:
    """Cases by their mean of a metric, worst first; those with frames that show no face before all others."""

    def badness(case: Case) -> tuple[float, float]:
        values = case.tensors[f"value/{key}"].double()
        lost = float((~case.tensors["face"]).float().mean())
        mean = float(values[~values.isnan()].mean()) if bool((~values.isnan()).any()) else 0.0
        return -lost, mean if higher else -mean

    return sorted((c for c in cases if f"value/{key}" in c.tensors), key=badness)


def _jpeg(rgb: Tensor) -> Tensor:
    high, wide = rgb.shape[1:]
    size = (2 * TILE, round(2 * TILE * wide / high))  # two tiles high
    small = functional.interpolate(rgb[None].float(), size, mode="bilinear", antialias=True)[0]
    array = (small.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    out = io.BytesIO()
    Image.fromarray(array).save(out, "JPEG", quality=QUALITY)
    return torch.from_numpy(np.frombuffer(out.getvalue(), dtype=np.uint8).copy())
