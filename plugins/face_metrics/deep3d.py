"""Pose coefficients of Deep3D (Deng et al. 2019; the official PyTorch version), with the user's copy of its regressor."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from mmfa_components import records as r
from mmfa_components.geometry.squares import crop_squares
from mmfa_components.kinds import Context
from mmfa_components.perception.contour import contour_points
from mmfa_components.perception.faces import FaceReader
from mmfa_components.torch_weights import load_state_dict_file
from mmfa_components.torchvision_import import import_torchvision

SIDE = 224
FACE_SIZE = 102.0  # of Deep3D's crops: pixels per unit of STANDARD
STANDARD = (
    (-0.31148657, 0.29036078, 0.13377953), (0.30979887, 0.28972036, 0.13179526), (0.0032535, -0.04617932, 0.55244243),
    (-0.25216928, -0.38133916, 0.22405732), (0.2484662, -0.38128236, 0.22235769),
)  # fmt: skip
"""Deep3D's standard face: left and right eye, nose, left and right mouth corner as seen; y up."""
FIVE = ((36, 39), (42, 45), (30,), (48,), (54,))
"""The same among 68 points; several are averaged."""
HEADS = (80, 64, 80, 3, 27, 2, 1)
"""Outputs: identity, expression, texture, angles, lighting, translation x and y, translation z."""


class Deep3DRegressor(nn.Module):
    """Crops (N, 3, 224, 224), RGB in [0, 1] -> coefficients (N, 257). Tensors are named as under ``net_recon`` of the official file."""

    def __init__(self) -> None:
        """Build it. Raises PluginError when torchvision cannot be imported."""
        super().__init__()
        self.backbone = import_torchvision("torchvision.models").resnet50(weights=None)
        self.backbone.fc = nn.Identity()
        self.final_layers = nn.ModuleList(nn.Conv2d(2048, width, 1) for width in HEADS)
        self.requires_grad_(False)

    def forward(self, crops: Tensor) -> Tensor:
        features = self.backbone(crops)[:, :, None, None]
        return torch.cat([head(features) for head in self.final_layers], 1).flatten(1)


class Deep3DPose:
    """Frames (N, 3, H, W) -> angles (radians) and translation (N, 6) by Deep3D, NaN where no face is seen."""

    def __init__(self, path: Path, fix: str, read: FaceReader, context: Context) -> None:
        """Load the network. Raises WeightsError when the file is missing or holds another architecture."""
        self.read, self.network = read, Deep3DRegressor()
        load_state_dict_file(path, self.network, fix, nested="net_recon")
        self.network.eval().to(context.device)

    def __call__(self, frames: r.Frames) -> Tensor:
        """Measure the pose of each image."""
        rgb = frames.rgb.float()
        points, found = self.read(frames)
        pose = rgb.new_full((len(rgb), 6), torch.nan)
        if bool(found.any()):
            squares = standard_squares(contour_points(points[found]))
            crops = torch.cat([crop_squares(image[None], square[None], SIDE) for image, square in zip(rgb[found], squares, strict=True)])
            coefficients = self.network(crops)
            pose[found] = torch.cat([coefficients[:, 224:227], coefficients[:, 254:257]], 1)
        return pose


def standard_squares(points: Tensor) -> Tensor:
    """The upright squares (N, 4) that Deep3D looks at, from 68 points (N, 68, 2 or 3) in pixels.

    An affine map from STANDARD to the five points is fitted by least squares; its shift is the centre, the mean length of its rows s
    the size: 102 pixels of the 224-pixel crop are s pixels of the image.
    """
    five = torch.stack([points[:, list(index), :2].mean(1) for index in FIVE], 1)  # (N, 5, 2)
    standard = torch.tensor(STANDARD, dtype=five.dtype, device=five.device) * five.new_tensor([1.0, -1.0, 1.0])  # y down
    design = torch.cat([standard, standard.new_ones(5, 1)], 1)  # (5, 4)
    solution = torch.linalg.pinv(design) @ five  # (N, 4, 2)
    size = solution[:, :3].norm(dim=1).mean(1)
    return torch.stack([solution[:, 3, 0], solution[:, 3, 1], size * SIDE / FACE_SIZE, torch.zeros_like(size)], 1)
