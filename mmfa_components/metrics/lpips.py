"""LPIPS (Zhang et al. 2018, version 0.1): how different two images look, as weighted distances of AlexNet's features."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmfa_components.errors import RecordError

ALEXNET = ((64, 11, 4, 2), (192, 5, 1, 2), (384, 3, 1, 1), (256, 3, 1, 1), (256, 3, 1, 1))  # channels, kernel, stride, padding
POOLED = (1, 2)  # convolutions with a max-pool (3, stride 2) before them
SMALLEST = 31  # side of the smallest image whose last features are not empty


class LPIPS(nn.Module):
    """Pairs of images -> distance, 0 for equal ones. Frozen; its weights are AlexNet's five convolutions and one linear head each.

    forward: results, references (N, 3, H, W) in [0, 1], H and W at least 31 -> (N,), differentiable in both.
    The published figures are of this network ("alex", version 0.1) on images in [-1, 1]; the change of range is made here.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        inputs = (3, *(layer[0] for layer in ALEXNET))
        self.convs = nn.ModuleList(nn.Conv2d(i, o, k, s, p) for i, (o, k, s, p) in zip(inputs, ALEXNET, strict=False))
        self.heads = nn.ParameterList(torch.full((layer[0],), 1 / layer[0]) for layer in ALEXNET)
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)

    def forward(self, results: Tensor, references: Tensor) -> Tensor:
        """Distances (N,) in float32. Raises RecordError when the shapes differ or the images are too small."""
        if results.shape != references.shape or results.ndim != 4:
            what = f"expected two batches of images of one shape, got {tuple(results.shape)} and {tuple(references.shape)}"
            raise RecordError(what, fix="resize the results to the size of the references")
        if min(results.shape[-2:]) < SMALLEST:
            raise RecordError(f"LPIPS needs images of at least {SMALLEST} pixels a side, got {tuple(results.shape)}")
        total = self.shift.new_zeros(len(results))
        for one, other, head in zip(self.features(results), self.features(references), self.heads, strict=True):
            difference = (_unit(one) - _unit(other)).square()
            total = total + (difference * head[:, None, None]).sum(1).mean((1, 2))
        return total

    def features(self, image: Tensor) -> list[Tensor]:
        """The five feature maps (N, C, h, w) of images (N, 3, H, W) in [0, 1]."""
        x, found = (image.float() * 2 - 1 - self.shift) / self.scale, []
        for index, conv in enumerate(self.convs):
            if index in POOLED:
                x = functional.max_pool2d(x, 3, 2)
            x = functional.relu(conv(x))
            found.append(x)
        return found


def _unit(features: Tensor) -> Tensor:
    """Every pixel's feature vector at length one. The root's slope is kept finite where all features are 0."""
    square = features.square().sum(1, keepdim=True)
    length = torch.where(square > 0, square, 1.0).sqrt() * (square > 0)
    return features / (length + 1e-10)
