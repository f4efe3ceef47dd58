"""Multi-scale generator (paper A.1): the warped volume becomes images of a quarter, half and full size, each fed on."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmfa_components.networks.blocks import ConvBlock, ResBlock, UpBlock
from mmfa_components.networks.presets import Sizes
from mmfa_components.networks.source_skip import SourceSkip, move_source


class MultiScaleGenerator(nn.Module):
    """Volume (N, C, D, H, W), flow (N, D, H, W, 3), occlusion (N, 1, H, W), hint (N, M, H, W), source image (N, 3, S, S) and
    surface (N, 3, H, W) -> images of side H, 2H, 4H in [0, 1].

    Source image and surface are looked at with ``sizes.source_skip`` only.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        widths = sizes.generator_channels
        self.flatten = ConvBlock(2, sizes.volume_channels * sizes.volume_depth + sizes.motion_hint, widths[0])
        self.mix = nn.Conv2d(widths[0], widths[0], 1)
        self.blocks = nn.ModuleList(
            nn.Sequential(*[ResBlock(2, w) for _ in range(b)]) for w, b in zip(widths, sizes.generator_blocks, strict=True)
        )
        self.to_image = nn.ModuleList(
            nn.Conv2d(w, 3, k, padding=k // 2) for w, k in zip(widths, (3, 3, 7), strict=True)
        )
        self.up = nn.ModuleList(UpBlock(2, a + 3, b) for a, b in itertools.pairwise(widths))
        self.skip = SourceSkip(widths[-1]) if sizes.source_skip else None

    def forward(self, volume: Tensor, flow: Tensor, occlusion: Tensor, hint: Tensor, source: Tensor, surface: Tensor) -> list[Tensor]:
        """Generate the three images (N, 3, ., .), coarse first."""
        warped = functional.grid_sample(volume, flow.to(volume.dtype), align_corners=False)  # (N, C, D, H, W)
        seen = torch.cat([warped.flatten(1, 2), hint.to(warped.dtype)], 1)  # (N, C*D + M, H, W)
        x = self.mix(self.flatten(seen)) * occlusion.to(warped.dtype)  # (N, w, H, W)
        images = []
        for blocks, to_image, up in zip(self.blocks, self.to_image, self.up, strict=False):  # the last size has no up
            x = blocks(x)
            image = torch.sigmoid(to_image(x))
            images.append(image.float())
            x = up(torch.cat([x, image], 1))
        return [*images, self._finest(x, source, surface)]

    def _finest(self, x: Tensor, source: Tensor, surface: Tensor) -> Tensor:
        blocks, to_image = self.blocks[-1], self.to_image[-1]
        if self.skip is None:
            return torch.sigmoid(to_image(blocks(x))).float()
        moved = move_source(source, surface)  # (N, 4, S, S)
        x = blocks(x + self.skip.see(moved))
        return self.skip.blend(x, torch.sigmoid(to_image(x)), moved)
