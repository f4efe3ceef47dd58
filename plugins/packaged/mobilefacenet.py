"""MobileFaceNet (Chen et al. 2018, arXiv 1804.07573): identity embeddings of faces, in plain torch; a second opinion beside SFace's.

No loss of training sees this network. Fifty convolutions with PReLU; every batch normalisation is folded into its convolution.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

STEM = 64
STAGES = ((128, 64, 4), (256, 128, 6), (512, 128, 2))
"""Of each halving block: hidden and outgoing channels, and how many blocks with a residual follow it."""
HIDDEN = (128, 256, 256)
"""Hidden channels of those that follow."""
EMBEDDING = 512


class Bottleneck(nn.Module):
    """(N, C, H, W) -> (N, ``out``, H / stride, W / stride): widen by 1x1, look by 3x3 a channel, narrow by 1x1; residual where sizes agree."""

    def __init__(self, channels: int, hidden: int, out: int, stride: int) -> None:
        super().__init__()
        self.widen, self.look = nn.Conv2d(channels, hidden, 1), nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden)
        self.narrow = nn.Conv2d(hidden, out, 1)
        self.slopes = nn.ParameterList([torch.full((hidden,), 0.25), torch.full((hidden,), 0.25)])
        self.residual = stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """Transform features."""
        wide = functional.prelu(self.look(functional.prelu(self.widen(x), self.slopes[0])), self.slopes[1])
        y: Tensor = self.narrow(wide)
        return x + y if self.residual else y


class MobileFaceNet(nn.Module):
    """Aligned faces (N, 3, 112, 112) in [0, 1], RGB, placed as SFace's -> embeddings (N, 512), not normalised. Frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.ModuleList([nn.Conv2d(3, STEM, 3, 2, 1), nn.Conv2d(STEM, STEM, 3, 1, 1, groups=STEM)])
        blocks, channels = [], STEM
        for (first, out, count), hidden in zip(STAGES, HIDDEN, strict=True):
            blocks.append(Bottleneck(channels, first, out, 2))
            blocks += [Bottleneck(out, hidden, out, 1) for _ in range(count)]
            channels = out
        self.blocks = nn.Sequential(*blocks)
        self.widen = nn.Conv2d(channels, EMBEDDING, 1)
        self.pool = nn.Conv2d(EMBEDDING, EMBEDDING, 7, groups=EMBEDDING)
        self.embedding = nn.Conv2d(EMBEDDING, EMBEDDING, 1)
        self.slopes = nn.ParameterList([torch.full((size,), 0.25) for size in (STEM, STEM, EMBEDDING)])
        self.requires_grad_(False)

    def forward(self, crops: Tensor) -> Tensor:
        """Embed aligned faces."""
        x = (crops * 255 - 127) / 128
        for conv, slope in zip(self.stem, self.slopes[:2], strict=True):
            x = functional.prelu(conv(x), slope)
        x = functional.prelu(self.widen(self.blocks(x)), self.slopes[2])
        embeddings: Tensor = self.embedding(self.pool(x)).flatten(1)
        return embeddings

    def layers(self) -> list[nn.Conv2d]:
        """All convolutions in order."""
        return [layer for layer in self.modules() if isinstance(layer, nn.Conv2d)]

    def all_slopes(self) -> list[nn.Parameter]:
        """Slopes of all PReLUs, in order."""
        inner = [slope for block in self.blocks for slope in block.slopes]  # type: ignore[union-attr]
        return [self.slopes[0], self.slopes[1], *inner, self.slopes[2]]
