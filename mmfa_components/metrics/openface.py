"""OpenFace's embedding network nn4.small2 (Amos et al. 2016), tensors named as in the PyTorch port's ``openface.pth`` (OpenFacePytorch)."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDE = 96
WIDTH = 736


class LpPool(nn.Module):
    """Root of the sum of squares over 3x3 places, stride 3."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.lp_pool2d(x, 2.0, 3, stride=3)


class Inception(nn.Module):
    """Branches 1x1 -> kxk (one a kernel), pool (-> 1x1), 1x1; smaller maps are padded around to the largest, then all are joined."""

    def __init__(
        self, inputs: int, branches: tuple[tuple[int, int, int], ...], stride: int, pool: nn.Module, pooled: int = 0, single: int = 0
    ) -> None:
        """branches: (kernel, reduced, outputs) each.  pooled: channels after the pool, 0 = as they are.  single: of the 1x1, 0 = none."""
        super().__init__()
        made = [
            nn.Sequential(OrderedDict([
                ("1_conv", nn.Conv2d(inputs, reduced, 1)), ("2_bn", nn.BatchNorm2d(reduced)), ("3_relu", nn.ReLU()),
                ("4_conv", nn.Conv2d(reduced, outputs, kernel, stride, kernel // 2)), ("5_bn", nn.BatchNorm2d(outputs)), ("6_relu", nn.ReLU()),
            ]))
            for kernel, reduced, outputs in branches
        ]  # fmt: skip
        last: list[tuple[str, nn.Module]] = [("1_pool", pool)]
        if pooled:
            last += [("2_conv", nn.Conv2d(inputs, pooled, 1)), ("3_bn", nn.BatchNorm2d(pooled)), ("4_relu", nn.ReLU())]
        made.append(nn.Sequential(OrderedDict(last)))
        if single:
            made.append(nn.Sequential(OrderedDict([
                ("1_conv", nn.Conv2d(inputs, single, 1)), ("2_bn", nn.BatchNorm2d(single)), ("3_relu", nn.ReLU())
            ])))  # fmt: skip
        self.seq_list = nn.ModuleList(made)

    def forward(self, x: Tensor) -> Tensor:
        maps = [branch(x) for branch in self.seq_list]
        high, wide = max(m.shape[2] for m in maps), max(m.shape[3] for m in maps)
        padded = []
        for m in maps:
            left, top = (wide - m.shape[3]) // 2, (high - m.shape[2]) // 2
            padded.append(functional.pad(m, (left, wide - m.shape[3] - left, top, high - m.shape[2] - top)))
        return torch.cat(padded, 1)


class OpenFace(nn.Module):
    """Faces (N, 3, 96, 96), BGR in [0, 1] -> unit vectors (N, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.layer1, self.layer2 = nn.Conv2d(3, 64, 7, 2, 3), nn.BatchNorm2d(64)
        self.layer6, self.layer7 = nn.Conv2d(64, 64, 1), nn.BatchNorm2d(64)
        self.layer9, self.layer10 = nn.Conv2d(64, 192, 3, 1, 1), nn.BatchNorm2d(192)
        self.layer14 = Inception(192, ((3, 96, 128), (5, 16, 32)), 1, nn.MaxPool2d(3, 2), 32, 64)
        self.layer15 = Inception(256, ((3, 96, 128), (5, 32, 64)), 1, LpPool(), 64, 64)
        self.layer16 = Inception(320, ((3, 128, 256), (5, 32, 64)), 2, nn.MaxPool2d(3, 2))
        self.layer17 = Inception(640, ((3, 96, 192), (5, 32, 64)), 1, LpPool(), 128, 256)
        self.layer18 = Inception(640, ((3, 160, 256), (5, 64, 128)), 2, nn.MaxPool2d(3, 2))
        self.layer19 = Inception(1024, ((3, 96, 384),), 1, LpPool(), 96, 256)
        self.layer21 = Inception(736, ((3, 96, 384),), 1, nn.MaxPool2d(3, 2), 96, 256)
        self.layer25 = nn.Linear(WIDTH, 128)
        self.requires_grad_(False)

    def forward(self, faces: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.layer2(self.layer1(faces))), 3, 2, 1)
        x = functional.local_response_norm(x, 5, 1e-4, 0.75, 1.0)
        x = functional.relu(self.layer10(self.layer9(functional.relu(self.layer7(self.layer6(x))))))
        x = functional.max_pool2d(functional.local_response_norm(x, 5, 1e-4, 0.75, 1.0), 3, 2, 1)
        for block in (self.layer14, self.layer15, self.layer16, self.layer17, self.layer18, self.layer19, self.layer21):
            x = block(x)
        x = self.layer25(functional.avg_pool2d(x, 3, 1).flatten(1))
        unit: Tensor = x / (x.square().sum(1, keepdim=True) + 1e-6).sqrt()
        return unit
