"""Stage paste: crops of the result back into the full-size source, with a feathered border."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

FEATHER = 0.12
"""Width of the soft border of crops that may move there, as a share of the crop's side."""
REST = 0.8
"""How still crops are from where on the source itself is faded in: what is left of their motion shows no double lines."""


def paste_crops(background: Tensor, crops: Tensor, square: Tensor, still: Tensor | None = None) -> Tensor:
    """Put crops over the square of the source they were cut from.

    Args:
        background: (1 or n, H, W, 3) uint8, full-size source frames.
        crops: (n, S, S, 3) uint8.
        square: (4,) centre x, centre y, side in pixels and clockwise angle in radians, or one a frame (n, 4).
        still: (n, h, w) uint8 over the crops, 255 where they show the source itself, as all along the border (see geometry.holding).

    Returns:
        (n, H, W, 3) uint8. Outside the square the source is unchanged; so it is where the crops are still. Where that is not known,
        they fade in over 12 % of their side.
    """
    if square.dim() == 2:
        if bool((square == square[:1]).all()):
            square = square[0]
        else:
            rows = background.expand(len(crops), -1, -1, -1)
            one = [slice(i, i + 1) for i in range(len(crops))]
            rests = [None if still is None else still[i] for i in one]
            return torch.cat([paste_crops(rows[i], crops[i], square[i.start], rest) for i, rest in zip(one, rests, strict=True)])
    height, width = background.shape[1:3]
    cx, cy, side, angle = (float(v) for v in square)
    reach = side * (abs(torch.tensor(angle).cos().item()) + abs(torch.tensor(angle).sin().item())) / 2
    x0, x1 = max(0, int(cx - reach)), min(width, int(cx + reach) + 1)
    y0, y1 = max(0, int(cy - reach)), min(height, int(cy + reach) + 1)
    result = background.expand(len(crops), -1, -1, -1).clone()
    if x0 >= x1 or y0 >= y1:
        return result
    u, v = _crop_coordinates(x0, x1, y0, y1, (cx, cy, side, angle))  # (h, w) each, [-1, 1] inside the square
    grid = torch.stack([u, v], -1).expand(len(crops), -1, -1, -1)
    pixels = crops.permute(0, 3, 1, 2).float()
    shrink = crops.shape[1] / side
    if shrink > 1:  # the crop is larger than its place: average first, so that nothing flickers
        size = max(1, round(side))
        pixels = functional.interpolate(pixels, size=(size, size), mode="area")
    placed = functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
    if still is None:
        mask = feather(u) * feather(v)  # (h, w)
    else:
        rest = functional.grid_sample(still[:, None].float() / 255, grid, mode="bilinear", padding_mode="border", align_corners=False)
        t = ((1 - rest) / (1 - REST)).clamp(0, 1)  # (n, 1, h, w)
        mask = t * t * (3 - 2 * t) * ((u.abs() < 1) & (v.abs() < 1))
    place = result[:, y0:y1, x0:x1].permute(0, 3, 1, 2).float()
    mixed = torch.lerp(place, placed, mask)
    result[:, y0:y1, x0:x1] = mixed.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    return result


def feather(u: Tensor) -> Tensor:
    """Weight of the crop at coordinate ``u`` in [-1, 1]: 0 at the border and outside, 1 from FEATHER inwards, smooth between."""
    t = ((1 - u.abs()) / (2 * FEATHER)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def _crop_coordinates(x0: int, x1: int, y0: int, y1: int, square: tuple[float, float, float, float]) -> tuple[Tensor, Tensor]:
    cx, cy, side, angle = square
    y, x = torch.meshgrid(torch.arange(y0, y1) + 0.5 - cy, torch.arange(x0, x1) + 0.5 - cx, indexing="ij")
    cosine, sine = torch.tensor(angle).cos(), torch.tensor(angle).sin()
    return 2 * (x * cosine + y * sine) / side, 2 * (y * cosine - x * sine) / side
