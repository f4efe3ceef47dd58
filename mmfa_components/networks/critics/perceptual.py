"""A discriminator that judges the features of a frozen network instead of pixels.

Not in the paper. A patch discriminator learns to see first and to judge then, over far more images
than a short run has; a pretrained network sees already (Sauer et al., Projected GANs Converge
Faster, 2021). Its features are those of the perceptual loss, so they are computed once for both.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH, GROUPS = 64, 8
TAPS = slice(1, 4)
"""Which of VGG's five feature maps are judged: relu2_1 to relu4_1.

The first is nearly pixels, the last sees a whole face at once."""


def judged(features: Sequence[Tensor]) -> list[Tensor]:
    """The feature maps that are judged; all when there are no more than one."""
    return list(features[TAPS]) or list(features)


class Head(nn.Module):
    """One feature map (N, C, h, w) -> scores (N, 1, h/2, w/2), unbounded, and two feature maps."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, WIDTH, 1)
        self.look = nn.Conv2d(WIDTH, WIDTH, 4, stride=2, padding=1)
        self.norm = nn.GroupNorm(GROUPS, WIDTH)
        self.score = nn.Conv2d(WIDTH, 1, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Judge; places are brought to the length sqrt(C), so that bright ones say no more."""
        x = functional.normalize(x, dim=1) * x.shape[1] ** 0.5
        mixed = functional.leaky_relu(self.mix(x), 0.2)
        seen = functional.leaky_relu(self.norm(self.look(mixed)), 0.2)
        return self.score(seen), [mixed, seen]


class PerceptualDiscriminator(nn.Module):
    """Feature maps, fine to coarse -> scores (N, M, s, s), one channel a map, and features.

    Scores are unbounded. Those of coarse maps are repeated to the finest one's size, so that each
    map has the same say in a mean. channels: of the maps.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(Head(count) for count in channels)

    def forward(self, *maps: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Judge the feature maps of a batch of images."""
        scores, features = [], []
        for head, x in zip(self.heads, maps, strict=True):
            score, own = head(x)
            scores.append(score.float())
            features += own
        size = scores[0].shape[-2:]
        return torch.cat([functional.interpolate(score, size) for score in scores], 1), features
