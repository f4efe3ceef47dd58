"""Dense motion in 3D: masks over K + 1 sparse motions, and occlusion.

Paper eq. 1 and 2, after face-vid2vid.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmfa_components.networks.blocks import ConvBlock, conv
from mmfa_components.networks.motion.hourglass import Hourglass
from mmfa_components.networks.motion.sparse import heat_maps, sparse_motions


class SurfaceMotion(nn.Module):
    """Motion of the surface that is seen, for ``generators.source_skip``.

    Features (N, F, H, W), flow (N, D, H, W, 3) -> surface (N, 3, H, W): x, y in [-1, 1] of the
    source image, and trust in [0, 1]. Which depth of the flow a pixel shows is a softmax over all
    of them; untrained it is their mean. Not in the paper.
    """

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.conv = conv(2, channels, depth + 1, 3)
        for value in self.conv.parameters():
            nn.init.zeros_(value)

    def forward(self, features: Tensor, flow: Tensor) -> Tensor:
        """Estimate the surface's motion, in float32."""
        seen = self.conv(features).float()
        depth = seen[:, :-1].softmax(1)  # (N, D, H, W)
        where = (depth[..., None] * flow[..., :2]).sum(1).permute(0, 3, 1, 2)  # (N, 2, H, W)
        return torch.cat([where, torch.sigmoid(seen[:, -1:])], 1)


class DenseMotionNetwork(nn.Module):
    """Volume (N, C, D, H, W) and posed keypoints (N, K, 3) of source and driving -> dense motion.

    It gives flow (N, D, H, W, 3) in [-1, 1], occlusion (N, 1, H, W) in [0, 1], hint (N, M, H, W)
    and surface (N, 3 or 0, H, W). The hint tells the generator what moved where; the surface is the
    flow of what is seen. Without both this is the paper's network.

    Args:
        keypoints: K.
        channels, depth: C and D of the volume.
        compress: channels the volume is brought to before it is warped by each sparse motion.
        stem, widths: channels of the hourglass's input and encoder.
        mask_kernel: side of the kernel that gives the masks.
        variance: of the keypoints' heat maps.
        hint: M, 0 for none.
        surface: whether the motion of the surface is estimated.
    """

    def __init__(
        self,
        keypoints: int,
        channels: int,
        depth: int,
        *,
        compress: int = 4,
        stem: int = 32,
        widths: tuple[int, ...],
        mask_kernel: int = 3,
        variance: float = 0.01,
        hint: int = 0,
        surface: bool = False,
    ) -> None:
        super().__init__()
        self.variance = variance
        self.compress = ConvBlock(3, channels, compress, kernel=1)
        self.stem = ConvBlock(3, (keypoints + 1) * (compress + 1), stem, kernel=1)
        self.hourglass = Hourglass(stem, widths)
        self.mask = conv(3, self.hourglass.channels_out, keypoints + 1, mask_kernel)
        flat = self.hourglass.channels_out * depth
        self.occlusion = conv(2, flat, 1, 7)
        self.hint = ConvBlock(2, flat, hint) if hint else None
        self.surface = SurfaceMotion(flat, depth) if surface else None

    def forward(self, volume: Tensor, source: Tensor, driving: Tensor, jacobian: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Estimate (flow, occlusion, hint, surface); jacobian (N, 3, 3) of ``sparse_motions``."""
        n, size = volume.shape[0], (volume.shape[2], volume.shape[3], volume.shape[4])
        motions = sparse_motions(source.float(), driving.float(), jacobian.float(), size)
        small = self.compress(volume)  # (N, c, D, H, W)
        k1 = motions.shape[1]  # K + 1; motions: (N, K+1, D, H, W, 3)
        repeated = small[:, None].expand(-1, k1, -1, -1, -1, -1).flatten(0, 1).to(motions.dtype)
        deformed = functional.grid_sample(repeated, motions.flatten(0, 1), align_corners=False)
        deformed = deformed.view(n, k1, *deformed.shape[1:])  # (N, K+1, c, D, H, W)
        heat = heat_maps(driving.float(), size, self.variance)
        heat = heat - heat_maps(source.float(), size, self.variance)
        heat = torch.cat([torch.zeros_like(heat[:, :1]), heat], 1)  # (N, K+1, D, H, W)
        x = torch.cat([heat[:, :, None], deformed], 2).flatten(1, 2).to(small.dtype)
        x = self.hourglass(self.stem(x))  # of (N, (K+1)*(c+1), D, H, W)
        mask = self.mask(x).float().softmax(1)  # (N, K+1, D, H, W)
        flow = (mask[..., None] * motions).sum(1)  # (N, D, H, W, 3)
        x = x.flatten(1, 2)  # (N, C*D, H, W)
        occlusion: Tensor = torch.sigmoid(self.occlusion(x).float())
        hint = x[:, :0].float() if self.hint is None else self.hint(x).float()
        surface = x[:, :0].float() if self.surface is None else self.surface(x, flow)
        return flow, occlusion, hint, surface
