"""HopeNet (Ruiz, Chong, Rehg: Fine-Grained Head Pose Estimation Without Keypoints, 2018) as a rotation estimator."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmfa_components import records as r
from mmfa_components.errors import WeightsError
from mmfa_components.geometry.rotations import euler_to_matrix
from mmfa_components.kinds import Context
from mmfa_components.torch_weights import load_state_dict_file
from mmfa_components.torchvision_import import import_torchvision

BINS, BIN_DEGREES, FIRST_BIN = 66, 3.0, -99.0
SIDE = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
FIX = (
    "download hopenet_robust_alpha1.pkl from github.com/natanielruiz/deep-head-pose and give its path as the option `weights`"
    ' of the rotation estimator "hopenet"'
)


def weights_file(weights: str) -> Path:
    """The user's file. Raises WeightsError when none is named, or it is not there."""
    if not weights:
        raise WeightsError("no weights file is named, and none is shipped", where="rotation_estimator.hopenet", fix=FIX)
    path = Path(weights).expanduser()
    if not path.is_file():
        raise WeightsError("there is no such weights file", where=str(path), fix=FIX)
    return path


def make_network() -> nn.Module:
    """ResNet-50 whose class layer is replaced by three heads, in the official layout of names.

    ``fc_finetune`` (unused by the official evaluation, too) is kept so that official files load exactly.
    """
    network: nn.Module = import_torchvision("torchvision.models").resnet50(weights=None)
    width = 2048
    network.fc = nn.Identity()
    for name in ("fc_yaw", "fc_pitch", "fc_roll"):
        setattr(network, name, nn.Linear(width, BINS))
    network.fc_finetune = nn.Linear(width + 3, 3)
    return network


def expected_degrees(scores: Tensor) -> Tensor:
    """Angles (N,) in degrees from scores (N, 66) of bins of 3 degrees that start at -99: the expectation over the bins."""
    index = torch.arange(BINS, device=scores.device, dtype=torch.float32)
    return (scores.float().softmax(1) * index).sum(1) * BIN_DEGREES + FIRST_BIN


class HopeNetRotation:
    """Frames (N, 3, H, W), square crops of one face with some background -> Rotation. Differentiable in the image.

    The official angles follow HopeNet's drawing convention, which is that of :mod:`mmfa_components.geometry.rotations`: the nose
    points to (-sin yaw, -cos yaw sin pitch).
    """

    def __init__(self, weights: str, context: Context) -> None:
        """Load ``weights``. Raises WeightsError when none is named, or it is missing, damaged or of another architecture."""
        path = weights_file(weights)
        self.network = make_network()
        load_state_dict_file(path, self.network, FIX)
        self.network.eval().requires_grad_(False).to(context.device)
        self.dtype = context.dtype
        self.mean = torch.tensor(MEAN, device=context.device)[:, None, None]
        self.std = torch.tensor(STD, device=context.device)[:, None, None]

    def __call__(self, crops: r.Frames) -> r.Rotation:
        yaw, pitch, roll = self.angles(crops.rgb).deg2rad().unbind(1)
        return r.Rotation(euler_to_matrix(yaw, pitch, roll))

    def angles(self, rgb: Tensor) -> Tensor:
        """Yaw, pitch and roll (N, 3) in degrees of crops (N, 3, H, W) in [0, 1]."""
        if not len(rgb):
            return torch.zeros(0, 3, device=rgb.device)
        small = functional.interpolate(rgb, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)  # (N, 3, 224, 224)
        with torch.autocast(rgb.device.type, self.dtype, enabled=self.dtype != torch.float32):
            features = self.network((small - self.mean) / self.std)  # (N, 2048)
            heads = [self.network.get_submodule(name)(features) for name in ("fc_yaw", "fc_pitch", "fc_roll")]
        return torch.stack([expected_degrees(scores) for scores in heads], 1)
