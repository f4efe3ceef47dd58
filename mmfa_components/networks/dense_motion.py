"""Dense motion from sparse keypoints (paper eq. 1, 2; after face-vid2vid): masks over K + 1 sparse motions, and occlusion."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmfa_components.geometry.apply import apply_matrix
from mmfa_components.geometry.grid import grid_points
from mmfa_components.networks.blocks import ConvBlock, DownBlock, UpBlock, conv
from mmfa_components.networks.presets import Sizes
from mmfa_components.networks.source_skip import SurfaceMotion


def sparse_motions(source: Tensor, driving: Tensor, jacobian: Tensor, size: tuple[int, int, int]) -> Tensor:
    """Backward motion of each keypoint's surroundings, ``w_k(p) = x_s,k + J (p - x_d,k)``, and of the background, ``p`` (eq. 1).

    Args:
        source, driving: (N, K, 3) keypoints.
        jacobian: (N, 3, 3), ``J = J_s J_d^-1``; of rigid heads ``s_s R_s (s_d R_d)^-1``, the same for all keypoints.
        size: (D, H, W) of the grid.

    Returns:
        (N, K + 1, D, H, W, 3) positions in the source, background first.
    """
    n, k, _ = source.shape
    grid = grid_points(size, source.device)  # (D, H, W, 3)
    turned = apply_matrix(jacobian, grid.view(1, -1, 3))  # (N, D*H*W, 3)
    offset = source - apply_matrix(jacobian, driving)  # (N, K, 3)
    moved = turned[:, None] + offset[:, :, None]  # (N, K, D*H*W, 3)
    background = grid.view(1, 1, -1, 3).expand(n, 1, -1, -1)
    return torch.cat([background, moved], 1).view(n, k + 1, *size, 3)


def heat_maps(points: Tensor, size: tuple[int, int, int], variance: float) -> Tensor:
    """Gaussian heat maps (N, K, D, H, W) in (0, 1] of points (N, K, 3), separable per axis."""
    out: Tensor | None = None
    for axis, count in zip((2, 1, 0), size, strict=True):  # z over D, y over H, x over W
        centres = grid_points((count,), points.device)[:, 0]  # (count,)
        bell = torch.exp(-0.5 * (centres - points[..., axis, None]) ** 2 / variance)  # (N, K, count)
        shape = [1, 1, 1]
        shape[2 - axis] = count
        bell = bell.view(*bell.shape[:2], *shape)
        out = bell if out is None else out * bell
    assert out is not None
    return out


class Hourglass(nn.Module):
    """3D U-Net that pools H and W: (N, C, D, H, W) -> (N, C + first width of the decoder, D, H, W)."""

    def __init__(self, channels_in: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        steps = (channels_in, *widths)
        self.down = nn.ModuleList(DownBlock(3, a, b) for a, b in itertools.pairwise(steps))
        ups, width = [], steps[-1]
        for skip in reversed(steps[:-1]):
            ups.append(UpBlock(3, width, skip))
            width = 2 * skip
        self.up = nn.ModuleList(ups)
        self.channels_out = width

    def forward(self, x: Tensor) -> Tensor:
        """Apply the U-Net."""
        skips = []
        for block in self.down:
            skips.append(x)
            x = block(x)
        for block in self.up:
            x = torch.cat([block(x), skips.pop()], 1)
        return x


class DenseMotionNetwork(nn.Module):
    """Volume, source and driving keypoints -> flow (N, D, H, W, 3) in [-1, 1], occlusion (N, 1, H, W) in [0, 1], hint (N, M, H, W)
    and surface (N, 3 or 0, H, W).

    The hint, of ``sizes.motion_hint`` channels, tells the generator what moved where; the surface is the flow of what is seen, for
    ``sizes.source_skip`` (see networks.source_skip). Without both (M = 0) this is the paper's network.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.variance = sizes.motion_variance
        self.compress = ConvBlock(3, sizes.volume_channels, sizes.motion_compress, kernel=1)
        channels = (sizes.keypoints + 1) * (sizes.motion_compress + 1)
        self.stem = ConvBlock(3, channels, sizes.motion_stem, kernel=1)
        self.hourglass = Hourglass(sizes.motion_stem, sizes.motion_channels)
        self.mask = conv(3, self.hourglass.channels_out, sizes.keypoints + 1, sizes.mask_kernel)
        flat = self.hourglass.channels_out * sizes.volume_depth
        self.occlusion = conv(2, flat, 1, 7)
        self.hint = ConvBlock(2, flat, sizes.motion_hint) if sizes.motion_hint else None
        self.surface = SurfaceMotion(flat, sizes.volume_depth) if sizes.source_skip else None

    def forward(self, volume: Tensor, source: Tensor, driving: Tensor, jacobian: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Estimate (flow, occlusion, hint, surface); ``jacobian`` (N, 3, 3) as in :func:`sparse_motions`."""
        n, size = volume.shape[0], (volume.shape[2], volume.shape[3], volume.shape[4])
        motions = sparse_motions(source.float(), driving.float(), jacobian.float(), size)  # (N, K+1, D, H, W, 3)
        small = self.compress(volume)  # (N, c, D, H, W)
        k1 = motions.shape[1]
        repeated = small[:, None].expand(-1, k1, -1, -1, -1, -1).flatten(0, 1).to(motions.dtype)
        deformed = functional.grid_sample(repeated, motions.flatten(0, 1), align_corners=False)  # (N*(K+1), c, D, H, W)
        deformed = deformed.view(n, k1, *deformed.shape[1:])
        heat = heat_maps(driving.float(), size, self.variance) - heat_maps(source.float(), size, self.variance)
        heat = torch.cat([torch.zeros_like(heat[:, :1]), heat], 1)  # background first: (N, K+1, D, H, W)
        x = torch.cat([heat[:, :, None], deformed], 2).flatten(1, 2).to(small.dtype)  # (N, (K+1)*(c+1), D, H, W)
        x = self.hourglass(self.stem(x))
        mask = self.mask(x).float().softmax(1)  # (N, K+1, D, H, W)
        flow = (mask[..., None] * motions).sum(1)  # (N, D, H, W, 3)
        x = x.flatten(1, 2)  # (N, C*D, H, W)
        occlusion: Tensor = torch.sigmoid(self.occlusion(x).float())
        hint = x[:, :0].float() if self.hint is None else self.hint(x).float()
        surface = x[:, :0].float() if self.surface is None else self.surface(x, flow)
        return flow, occlusion, hint, surface
