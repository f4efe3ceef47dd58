"""SFace (Zhong et al. 2021, the model of OpenCV's zoo): identity embeddings of faces, in plain torch.

A MobileNet of 27 convolutions with PReLU and one fully connected layer; every batch normalisation is folded into its neighbour.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmfa_components.geometry.squares import crop_squares

SIDE = 112
WIDTHS = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)  # channels after convolution 1, pair 2, ... pair 14
HALVING = (3, 5, 7, 13)  # pairs whose depthwise convolution has stride 2
TEMPLATE = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
"""ArcFace's places (x, y) in the 112 x 112 crop: right eye, left eye, nose tip, right and left mouth corner (the person's), in pixel indices."""
FIVE = ((468,), (473,), (1,), (61,), (291,))
"""The same five in the 478-point mesh; several indices are averaged."""


class SFaceNetwork(nn.Module):
    """Aligned faces (N, 3, 112, 112) in [0, 1], RGB -> embeddings (N, 128), not normalised. Frozen."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, WIDTHS[0], 3, 1, 1)]
        for pair, (before, after) in enumerate(pairwise(WIDTHS), start=2):
            layers.append(nn.Conv2d(before, before, 3, 2 if pair in HALVING else 1, 1, groups=before))
            layers.append(nn.Conv2d(before, after, 1))
        self.convs = nn.ModuleList(layers)
        self.slopes = nn.ParameterList(torch.full((conv.out_channels,), 0.25) for conv in layers if isinstance(conv, nn.Conv2d))
        self.embedding = nn.Linear(WIDTHS[-1] * (SIDE // 16) ** 2, 128)
        self.requires_grad_(False)

    @staticmethod
    def original_names() -> list[str]:
        """What the original model calls the convolutions, in order."""
        return ["conv_1", *(f"conv_{pair}{part}" for pair in range(2, len(WIDTHS) + 1) for part in ("_dw", ""))]

    def features(self, image: Tensor) -> list[Tensor]:
        """Feature maps of images (N, 3, H, W) in [0, 1], the last one of each size: 64, 128, 256, 512, 1024 channels, H/1 to H/16.

        Any H and W; what they show is most telling for faces aligned to 112 x 112.
        """
        x, found = (image * 255 - 127.5) / 128, []
        for conv, slope in zip(self.convs, self.slopes, strict=True):
            assert isinstance(conv, nn.Conv2d)
            if conv.stride[0] == 2:
                found.append(x)
            x = functional.prelu(conv(x), slope)
        return [*found, x]

    def forward(self, crops: Tensor) -> Tensor:
        embeddings: Tensor = self.embedding(self.features(crops)[-1].flatten(1))
        return embeddings


class SFace:
    """Identity of faces: align them, then embed them. Differentiable in the image.

    network: :class:`SFaceNetwork` with weights, on the device of the images, or another that knows faces in the same places.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def align(self, frames: Tensor, points: Tensor) -> Tensor:
        """Crops (N, 3, 112, 112) of frames (N, 3, H, W) in which the five points lie at ArcFace's places, by least squares.

        points: (N, 478, 2 or 3) face-mesh landmarks in pixels, pixel centres at +0.5. Edge pixels repeat outside the frame.
        Large faces are shrunk with several samples per pixel, each frame by itself.
        """
        if not len(frames):
            return frames.new_zeros(0, 3, SIDE, SIDE)
        squares = similarity_squares(points.to(frames))
        return torch.cat([crop_squares(frame[None], square[None], SIDE) for frame, square in zip(frames, squares, strict=True)])

    def embed(self, crops: Tensor) -> Tensor:
        """Unit vectors (N, E) of aligned crops (N, 3, 112, 112) in [0, 1]; their dot product is the similarity of identities."""
        embeddings: Tensor = self.network(crops.float())
        return functional.normalize(embeddings, dim=1)


def similarity_squares(points: Tensor) -> Tensor:
    """The squares (N, 4) that a 112-pixel crop shows when turn, scale and shift map five of the points onto TEMPLATE by least squares.

    points: (N, 478, 2 or 3) in pixels.
    """
    return squares_by_template(torch.stack([points[:, index, :2].mean(1) for index in FIVE], 1))


def squares_by_template(points: Tensor, which: Sequence[int] = range(len(TEMPLATE))) -> Tensor:
    """The squares (N, 4) that a 112-pixel crop shows when turn, scale and shift map points onto those places of TEMPLATE by least squares.

    points: (N, P, 2) in pixels.  which: the P places, numbers in TEMPLATE; two or more. As complex numbers the best map is
    z -> s (z - mean) + mean of template, s = sum conj(z) t / sum |z|^2 with both centred. Differentiable in the points.
    """
    template = torch.tensor(TEMPLATE, dtype=points.dtype, device=points.device)[list(which)] + 0.5  # from pixel indices to pixel centres
    middle, wanted = points.mean(1), template.mean(0)
    p, t = points - middle[:, None], template - wanted
    power = p.square().sum((1, 2))
    real = (p * t).sum((1, 2)) / power
    imaginary = (p[..., 0] * t[..., 1] - p[..., 1] * t[..., 0]).sum(1) / power
    shrink = real.square() + imaginary.square()
    inverse_real, inverse_imaginary = real / shrink, -imaginary / shrink  # 1 / s: from the crop to the frame
    offset = SIDE / 2 - wanted  # (2,), from the template's mean to the crop's centre
    x = inverse_real * offset[0] - inverse_imaginary * offset[1]
    y = inverse_imaginary * offset[0] + inverse_real * offset[1]
    side = SIDE / shrink.sqrt()
    angle = torch.atan2(inverse_imaginary, inverse_real)
    return torch.stack([middle[:, 0] + x, middle[:, 1] + y, side, angle], 1)
