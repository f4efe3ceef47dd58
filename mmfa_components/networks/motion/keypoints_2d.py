"""Keypoints with Jacobians in 2D (FOMM, section 3.2 and supplement): U-Net, soft-argmax."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmfa_components.geometry.grid import grid_points
from mmfa_components.networks.downscale import Downscale
from mmfa_components.networks.motion.hourglass import Hourglass


class KeypointJacobianDetector(nn.Module):
    """(N, 3, S, S) in [0, 1] -> keypoints (N, K, 2) in [-1, 1] and Jacobians (N, K, 2, 2).

    An untrained network gives Jacobians of 1.

    Args:
        keypoints: K.
        stem: channels of the decoder's last block.
        widths: channels of the U-Net's encoder.
        shrink: the image is brought to a ``shrink``-th of its side first.
        temperature: of the soft-argmax.
    """

    def __init__(
        self,
        keypoints: int,
        stem: int,
        widths: tuple[int, ...],
        shrink: int = 4,
        temperature: float = 0.1,
    ) -> None:
        super().__init__()
        self.keypoints, self.temperature = keypoints, temperature
        self.down = Downscale(3, shrink)
        self.predictor = Hourglass(3, widths, dims=2, last=stem)
        self.kp = nn.Conv2d(self.predictor.channels_out, keypoints, 7)
        self.jacobian = nn.Conv2d(self.predictor.channels_out, 4 * keypoints, 7)
        nn.init.zeros_(self.jacobian.weight)
        assert self.jacobian.bias is not None
        with torch.no_grad():
            self.jacobian.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 1.0]).repeat(keypoints))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Detect keypoints and their Jacobians, in float32."""
        x = self.predictor(self.down(image))
        with torch.autocast(x.device.type, enabled=False):  # a rounded heat map jitters
            heat = self.kp(x.float())  # (N, K, h, w)
        size = (heat.shape[-2], heat.shape[-1])
        weight = (heat.flatten(2) / self.temperature).softmax(-1)  # (N, K, h*w)
        grid = grid_points(size, heat.device).flatten(0, 1)  # (h*w, 2)
        # sums, not a product: exact under autocast
        points = torch.stack([(weight * axis).sum(-1) for axis in grid.unbind(1)], -1)
        local = self.jacobian(x).float().unflatten(1, (self.keypoints, 4)).flatten(3)
        jacobians = (local * weight[:, :, None]).sum(-1)  # (N, K, 4)
        return points, jacobians.unflatten(-1, (2, 2))
