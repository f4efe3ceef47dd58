"""Dense motion in 2D: masks over K + 1 local motions, and occlusion (FOMM, section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmfa_components.networks.blocks import conv
from mmfa_components.networks.downscale import Downscale
from mmfa_components.networks.motion.hourglass import Hourglass
from mmfa_components.networks.motion.sparse import heat_maps, local_motions


class DenseMotion2D(nn.Module):
    """Source image and keypoints with Jacobians of source and driving frame -> flow and occlusion.

    Args:
        keypoints: K.
        stem: channels of the decoder's last block.
        widths: channels of the U-Net's encoder.
        shrink: the image is brought to a ``shrink``-th of its side first.
        variance: of the keypoints' heat maps.
        channels: of the source image.
    """

    def __init__(
        self,
        keypoints: int,
        stem: int,
        widths: tuple[int, ...],
        shrink: int = 4,
        variance: float = 0.01,
        channels: int = 3,
    ) -> None:
        super().__init__()
        self.variance = variance
        self.down = Downscale(channels, shrink)
        inputs = (keypoints + 1) * (channels + 1)
        self.hourglass = Hourglass(inputs, widths, dims=2, last=stem)
        self.mask = conv(2, self.hourglass.channels_out, keypoints + 1, 7)
        self.occlusion = conv(2, self.hourglass.channels_out, 1, 7)

    def forward(self, image: Tensor, source: Tensor, driving: Tensor, jacobians: Tensor) -> tuple[Tensor, Tensor]:
        """Estimate flow (N, h, w, 2) in [-1, 1] and occlusion (N, 1, h, w) in [0, 1].

        image: (N, C, S, S).  source, driving: (N, K, 2).  jacobians: (N, K, 2, 2), J_s J_d^-1.
        """
        small = self.down(image)
        size = (small.shape[-2], small.shape[-1])
        motions = local_motions(source.float(), driving.float(), jacobians.float(), size)
        count = motions.shape[1]  # K + 1
        repeated = small[:, None].expand(-1, count, -1, -1, -1).flatten(0, 1).to(motions.dtype)
        deformed = functional.grid_sample(repeated, motions.flatten(0, 1), align_corners=False)
        deformed = deformed.unflatten(0, (len(small), count))  # (N, K+1, C, h, w)
        heat = heat_maps(driving.float(), size, self.variance)
        heat = heat - heat_maps(source.float(), size, self.variance)
        heat = torch.cat([torch.zeros_like(heat[:, :1]), heat], 1)  # (N, K+1, h, w)
        x = torch.cat([heat[:, :, None], deformed], 2).flatten(1, 2).to(small.dtype)
        x = self.hourglass(x)
        mask = self.mask(x).float().softmax(1)
        flow = (mask[..., None] * motions).sum(1)  # (N, h, w, 2)
        return flow, torch.sigmoid(self.occlusion(x).float())
