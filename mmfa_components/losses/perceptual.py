"""Multi-scale perceptual loss (paper eq. 6, A.2): L1 between VGG-16 features of the results and the driving image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512)  # up to relu5_1; 0 = max-pool
TAPS = (0, 2, 4, 7, 10)  # convolutions whose ReLU is relu1_1, relu2_1, relu3_1, relu4_1, relu5_1


class VGGFeatures(nn.Module):
    """The first eleven convolutions of VGG-16: (N, 3, H, W) in [0, 1] -> five feature maps relu1_1 .. relu5_1.

    Stands in for the paper's VGG-19, whose weights no package ships. Frozen.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers, channels = [], 3
        for width in VGG16:
            if width:
                layers.append(nn.Conv2d(channels, width, 3, padding=1))
                channels = width
        self.convs = nn.ModuleList(layers)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features of an image."""
        x, features, index = (image - self.mean) / self.std, [], 0
        for width in VGG16:
            if not width:
                x = functional.max_pool2d(x, 2)
                continue
            x = functional.relu(self.convs[index](x))
            if index in TAPS:
                features.append(x)
            index += 1
        return features


Features = Sequence[Tensor]


def perceptual_loss(network: nn.Module, result: Tensor, target: Tensor, levels: int = 1, known: tuple[Features, Features] | None = None) -> Tensor:
    """Sum over feature maps and pyramid levels of the mean absolute difference of features.

    Args:
        network: image -> list of features, e.g. :class:`VGGFeatures`.
        result, target: (N, 3, H, W) in [0, 1]; the target gets no gradient.
        levels: how often both are halved and compared again, 1 = full size only.
        known: features of result and target at full size, when they were computed before.

    Returns:
        Scalar.
    """
    total = result.new_zeros(())
    for level in range(levels):
        if level:
            result, target = functional.avg_pool2d(result, 2), functional.avg_pool2d(target, 2)
        found, wanted = known if known is not None and not level else features_of(network, result, target)
        for got, want in zip(found, wanted, strict=True):
            total = total + (got - want).abs().mean(dtype=torch.float32)
    return total


def features_of(network: nn.Module, result: Tensor, target: Tensor) -> tuple[Features, Features]:
    """Features of results and of targets; the latter without gradient."""
    with torch.no_grad():
        wanted = network(target)
    return network(result), wanted


def multi_scale_perceptual_loss(network: nn.Module, results: Sequence[Tensor], target: Tensor, levels: Sequence[int] = (1, 1, 2)) -> Tensor:
    """Eq. 6: the perceptual loss of every size of result, coarse first, against the target shrunk to that size."""
    total = target.new_zeros(())
    for result, count in zip(results, levels, strict=True):
        size = (result.shape[-2], result.shape[-1])
        shrunk = target if size == tuple(target.shape[-2:]) else functional.interpolate(target, size, mode="area")
        total = total + perceptual_loss(network, result, shrunk, count)
    return total
