"""Pictures made smaller without aliasing, as FOMM and its relatives do: a Gaussian, then every n-th pixel."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Downscale(nn.Module):
    """(N, C, H, W) -> (N, C, H/shrink, W/shrink); nothing is learnt.

    The Gaussian has a deviation of ``(shrink - 1) / 2`` pixels; pixels ``shrink / 2, ...`` of every
    ``shrink`` are kept, so that centres stay in place.
    """

    weight: Tensor

    def __init__(self, channels: int, shrink: int) -> None:
        super().__init__()
        self.shrink, self.channels = shrink, channels
        sigma = (shrink - 1) / 2
        radius = round(4 * sigma)
        at = torch.arange(-radius, radius + 1, dtype=torch.float32)
        bell = torch.exp(-(at**2) / (2 * sigma**2)) if sigma else torch.ones(1)
        kernel = bell[:, None] * bell
        kernel = (kernel / kernel.sum()).expand(channels, 1, *kernel.shape).clone()
        self.register_buffer("weight", kernel, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Make pictures smaller."""
        if self.shrink == 1:
            return image
        pad = self.weight.shape[-1] // 2
        x = functional.conv2d(image, self.weight.to(image.dtype), padding=pad, groups=self.channels)
        start = self.shrink // 2
        return x[..., start :: self.shrink, start :: self.shrink]
