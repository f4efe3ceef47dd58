"""The regular grid that flows, heat maps and warps are expressed on."""

from __future__ import annotations

import torch
from torch import Tensor


def grid_points(size: tuple[int, ...], device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """Centres of the cells of a grid over [-1, 1]: for (D, H, W) a (D, H, W, 3) tensor of x, y, z; for (H, W) (H, W, 2)."""
    axes = [(2 * torch.arange(n, device=device, dtype=dtype) + 1) / n - 1 for n in size]
    return torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], -1)
