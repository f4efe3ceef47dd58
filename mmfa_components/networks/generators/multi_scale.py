"""Multi-scale generator (paper A.1).

The warped volume becomes images of a quarter, half and full size, each fed on.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmfa_components.networks.blocks import ConvBlock, ResBlock, UpBlock
from mmfa_components.networks.generators.source_skip import SourceSkip, blend_picture, move_source


class MultiScaleGenerator(nn.Module):
    """What dense motion gives, with volume and source image -> images of side H, 2H, 4H in [0, 1].

    Source image and surface are looked at with ``source_skip`` only.

    Args:
        channels, depth: C and D of the volume.
        widths, blocks: channels and residual blocks of the three sizes, coarse first.
        hint: channels of the hint of dense motion.
        source_skip: whether the moved source image is blended in (see generators.source_skip).
    """

    def __init__(
        self,
        channels: int,
        depth: int,
        widths: tuple[int, int, int],
        blocks: tuple[int, int, int],
        *,
        hint: int = 0,
        source_skip: bool = False,
    ) -> None:
        super().__init__()
        self.flatten = ConvBlock(2, channels * depth + hint, widths[0])
        self.mix = nn.Conv2d(widths[0], widths[0], 1)
        self.blocks = nn.ModuleList(nn.Sequential(*[ResBlock(2, width) for _ in range(count)]) for width, count in zip(widths, blocks, strict=True))
        self.to_image = nn.ModuleList(nn.Conv2d(width, 3, kernel, padding=kernel // 2) for width, kernel in zip(widths, (3, 3, 7), strict=True))
        self.up = nn.ModuleList(UpBlock(2, a + 3, b) for a, b in itertools.pairwise(widths))
        self.skip = SourceSkip(widths[-1]) if source_skip else None

    def forward(
        self,
        volume: Tensor,
        flow: Tensor,
        occlusion: Tensor,
        hint: Tensor,
        source: Tensor,
        surface: Tensor,
    ) -> list[Tensor]:
        """Generate the three images (N, 3, ., .), coarse first.

        volume: (N, C, D, H, W).  flow: (N, D, H, W, 3).  occlusion: (N, 1, H, W).
        hint: (N, M, H, W).  source: (N, 3, 4H, 4H).  surface: (N, 3, H, W).
        """
        images, x = self._coarse(volume, flow, occlusion, hint)
        if self.skip is None:
            return [*images, self._image(self.blocks[-1](x))]
        moved = move_source(source, surface)  # (N, 4, S, S)
        x = self.blocks[-1](x + self.skip.see(moved))
        return [*images, self.skip.blend(x, self._image(x), moved)]

    def paint(
        self,
        volume: Tensor,
        flow: Tensor,
        occlusion: Tensor,
        hint: Tensor,
        source: Tensor,
        surface: Tensor,
        picture: Tensor,
        still: Tensor,
    ) -> Tensor:
        """The last image with the source taken from a larger ``picture``, (N, 3, P, P) in [0, 1].

        The generator's own image and the share of the source in it are enlarged; the source itself
        is moved at full size. Without ``source_skip`` the image is the generator's, enlarged.

        picture: (N, 3, P, P), the source image with more pixels.  still: (N, 1, H, W) in [0, 1],
        where the source alone is shown; the flow has to be at rest there.  The rest as in forward.
        """
        _, x = self._coarse(volume, flow, occlusion, hint)
        if self.skip is None:
            x = self.blocks[-1](x)
            image, share = self._image(x), torch.zeros_like(x[:, :1], dtype=torch.float32)
        else:
            moved = move_source(source, surface)
            x = self.blocks[-1](x + self.skip.see(moved))
            image, share = self._image(x), self.skip.taken(x, moved)
        return blend_picture(image, share, picture, surface, still)

    def _coarse(self, volume: Tensor, flow: Tensor, occlusion: Tensor, hint: Tensor) -> tuple[list[Tensor], Tensor]:
        """The two smaller images, and the features (N, w, 4H, 4H) that the last one is made of."""
        warped = functional.grid_sample(volume, flow.to(volume.dtype), align_corners=False)
        seen = torch.cat([warped.flatten(1, 2), hint.to(warped.dtype)], 1)  # (N, C*D + M, H, W)
        x = self.mix(self.flatten(seen)) * occlusion.to(warped.dtype)  # (N, w, H, W)
        images = []
        # the last size has no up
        for blocks, to_image, up in zip(self.blocks, self.to_image, self.up, strict=False):
            x = blocks(x)
            image = torch.sigmoid(to_image(x))
            images.append(image.float())
            x = up(torch.cat([x, image], 1))
        return images, x

    def _image(self, x: Tensor) -> Tensor:
        """The image of the last features, float32."""
        return torch.sigmoid(self.to_image[-1](x)).float()
