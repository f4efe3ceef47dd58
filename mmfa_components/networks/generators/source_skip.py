"""What a volume of a quarter of the image's side cannot hold: the source image, moved, blended in.

Not in the paper. A volume of 64 x 64 columns keeps no hair, lashes or pores, and a generator that
has to invent them needs millions of images to learn how. Here the flow of the volume, taken at the
depth of the face's surface (``motion.dense.SurfaceMotion``), moves the source image at full size as
well. The generator sees it and says, pixel by pixel, how much of it to take: much where skin and
hair only move, little where something opens, closes or comes to light.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmfa_components.geometry.grid import grid_points
from mmfa_components.networks.blocks import ConvBlock

WIDTH = 24
"""Channels of the moved source image's features."""
LITTLE = -2.0
"""Logit of the share that an untrained blend takes of the moved source, 0.12."""


def move_source(image: Tensor, surface: Tensor) -> Tensor:
    """The source image (N, 3, S, S) moved by ``surface`` (N, 3, H, W), and the trust: (N, 4, S, S).

    Offsets, not positions, are brought to full size, so that no motion leaves the image exactly as
    it is.
    """

    def grid(side: int) -> Tensor:
        return grid_points((side, side), image.device).permute(2, 0, 1)[None]  # (1, 2, side, side)

    fine = _brought_to(surface, image.shape[-1])
    where = fine[:, :2].permute(0, 2, 3, 1)
    image = image.float()
    moved = functional.grid_sample(image, where, padding_mode="border", align_corners=False)
    return torch.cat([moved, fine[:, 2:]], 1)


def _brought_to(surface: Tensor, side: int) -> Tensor:
    """Surfaces (N, 3, H, W) as (N, 3, side, side)."""

    def grid(side: int) -> Tensor:
        return grid_points((side, side), surface.device).permute(2, 0, 1)[None]  # (1, 2, side, side)

    coarse = torch.cat([surface[:, :2] - grid(surface.shape[-1]), surface[:, 2:]], 1)
    fine = functional.interpolate(coarse, size=(side, side), mode="bilinear", align_corners=False)
    return torch.cat([fine[:, :2] + grid(side), fine[:, 2:]], 1)


def blend_picture(image: Tensor, share: Tensor, picture: Tensor, surface: Tensor, still: Tensor) -> Tensor:
    """An image, enlarged, with a moved picture of more pixels in it: (N, 3, P, P) in [0, 1].

    image: (N, 3, S, S), what a generator made.  share: (N, 1, S, S), how much of the moved picture
    is taken.  picture: (N, 3, P, P), the source.  surface: (N, 2 or 3, H, W), where it is sampled.
    still: (N, 1, H, W), 1 where only the picture is shown, whatever the share.
    """
    side = picture.shape[-1]
    where = _brought_to(surface[:, :2].float(), side).permute(0, 2, 3, 1)
    moved = functional.grid_sample(picture.float(), where, mode="bicubic", padding_mode="border", align_corners=False)
    rest = functional.interpolate(still.float(), size=(side, side), mode="bilinear", align_corners=False)
    if image.shape[-1] != side:
        image, share = (
            functional.interpolate(t, size=(side, side), mode="bicubic", align_corners=False) for t in (image, share)
        )
    taken = share + (1 - share) * rest
    return torch.lerp(image.float(), moved, taken.clamp(0, 1)).clamp(0, 1)


class SourceSkip(nn.Module):
    """The moved source (N, 4, S, S) beside the generator's last features (N, w, S, S) and image.

    ``see`` gives what is added to the features before the last blocks, nothing as long as it is
    untrained; ``blend`` the final image. width: w.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.look = ConvBlock(2, 4, WIDTH)
        self.into = nn.Conv2d(WIDTH + 4, width, 1)
        self.share = nn.Conv2d(width + 4, 1, 3, padding=1)
        for value in (*self.into.parameters(), *self.share.parameters()):
            nn.init.zeros_(value)
        nn.init.constant_(self.share.bias, LITTLE)  # type: ignore[arg-type]

    def see(self, moved: Tensor) -> Tensor:
        """To add to the generator's features (N, w, S, S)."""
        found = self.look(moved)
        added: Tensor = self.into(torch.cat([found, moved.to(found.dtype)], 1))
        return added

    def blend(self, features: Tensor, image: Tensor, moved: Tensor) -> Tensor:
        """The generator's image with the moved source in it, (N, 3, S, S) float32 in [0, 1]."""
        return torch.lerp(image.float(), moved[:, :3], self.taken(features, moved))

    def taken(self, features: Tensor, moved: Tensor) -> Tensor:
        """The share (N, 1, S, S) of the moved source in the final image, float32 in [0, 1]."""
        return torch.sigmoid(self.share(torch.cat([features, moved.to(features.dtype)], 1)).float())
