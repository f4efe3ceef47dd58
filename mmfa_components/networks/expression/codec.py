"""Expression encoder and decoder (paper eq. 4 and A.1): e = E_exp(I), delta = D_exp(e, x_c)."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmfa_components.geometry.rotations import matrix_to_euler
from mmfa_components.networks.blocks import bottleneck_stages, linear_layers


class ExpressionEncoder(nn.Module):
    """Convolution with ReLU, max-pool, ResBottlenecks, linear: (N, 3, S, S) in [0, 1] -> e (N, E).

    Args:
        features: E.
        image: S.
        widths: channels from fine to coarse.
        blocks: bottlenecks of each stage.
        normalised: features leave with mean 0 and variance 1 over all faces, so that what they
            share weighs nothing.
    """

    def __init__(
        self,
        features: int,
        image: int,
        widths: tuple[int, ...],
        blocks: int,
        normalised: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, widths[0], 7, stride=2, padding=3)
        self.stages = bottleneck_stages(widths, blocks)
        side = image // 4 // 2 ** (len(widths) - 1)
        self.linear = nn.Linear(widths[-1] * side * side, features)
        self.norm = nn.BatchNorm1d(features, affine=False) if normalised else nn.Identity()

    def forward(self, image: Tensor) -> Tensor:
        """Encode the expression of an image."""
        x = functional.max_pool2d(functional.relu(self.conv(image)), 2)
        feature: Tensor = self.norm(self.linear(self.stages(x).flatten(1)).float())
        return feature


class ShapeEncoder(nn.Module):
    """Linear layers on a face's shape without its pose: (N, P, 3) of geometry.shape -> e (N, E).

    e has mean 0 and variance 1 over all faces. In place of the paper's image encoder: the frozen
    landmark network, which gives the rotation as well, has already seen the expression, and what is
    left of the points without pose cannot change when a picture is turned, scaled or shifted, as
    eq. 7 asks of e.

    Args:
        features: E.
        points: P.
        hidden: widths of the layers.
    """

    def __init__(self, features: int, points: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        widths = (3 * points, *hidden)
        self.scale = nn.BatchNorm1d(widths[0], affine=False)
        self.layers = linear_layers(widths)
        self.last = nn.Linear(widths[-1], features)
        self.norm = nn.BatchNorm1d(features, affine=False)

    def forward(self, shape: Tensor) -> Tensor:
        """Encode the expression of shapes; in float32 throughout, so that it does not jitter."""
        device = shape.device.type
        known = torch.amp.is_autocast_available(device)
        with torch.autocast(device, enabled=False) if known else contextlib.nullcontext():
            x = self.scale(shape.float().flatten(1))
            feature: Tensor = self.norm(self.last(self.layers(x)))
        return feature


class PosePart(nn.Module):
    """What the head's pose puts into e: rotation (N, 3, 3) -> (N, E), zero until it is fitted.

    Landmarks bend as a head turns, so that e = e' + phi(R) W, phi: yaw, pitch, their squares and
    product. Motions hold e', which is the same in every pose, and decoding adds the pose's part
    again: nothing changes in a motion as it is, and a rotation that is edited or taken from
    elsewhere brings along what it does to e. Fitted after training, since both act on the same e.
    features: E.
    """

    weight: Tensor
    LIMIT = 0.7  # radians; beyond, the part stays what it is there

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(5, features))

    def forward(self, rotation: Tensor) -> Tensor:
        """The pose's part of e."""
        return self.terms(rotation) @ self.weight

    def terms(self, rotation: Tensor) -> Tensor:
        """phi(R) (N, 5)."""
        yaw, pitch, _ = matrix_to_euler(rotation.float())
        yaw, pitch = yaw.clamp(-self.LIMIT, self.LIMIT), pitch.clamp(-self.LIMIT, self.LIMIT)
        return torch.stack([yaw, pitch, yaw * yaw, pitch * pitch, yaw * pitch], -1)

    @torch.no_grad()
    def fit(self, feature: Tensor, rotation: Tensor, lengths: Tensor) -> None:
        """Least squares over clips, each less its own mean, so that who somebody is does not count.

        feature: (T, E) raw e.  rotation: (T, 3, 3).
        lengths: (C,) frames of each clip, in order, sum T.
        """
        terms = _less_clip_means(self.terms(rotation).double(), lengths)
        wanted = _less_clip_means(feature.double(), lengths)
        square = terms.mT @ terms
        ridge = 1e-3 * square.diagonal().clamp_min(1e-9).diag()
        self.weight.copy_(torch.linalg.solve(square + ridge, terms.mT @ wanted))


def _less_clip_means(values: Tensor, lengths: Tensor) -> Tensor:
    return torch.cat([part - part.mean(0) for part in values.split(lengths.tolist())])


class ExpressionDecoder(nn.Module):
    """Linear layers with batch norm and ReLU, the last one bare: e (N, E), x_c (N, K, 3) -> delta.

    ``delta`` (N, K, 3) depends on ``e`` and the canonical keypoints only (eq. 4), so that it lives
    in the canonical frame. features, keypoints: E and K.  hidden: widths of the layers.
    """

    def __init__(self, features: int, keypoints: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        widths = (features + 3 * keypoints, *hidden)
        self.layers = linear_layers(widths)
        self.last = nn.Linear(widths[-1], 3 * keypoints)
        nn.init.normal_(self.last.weight, std=1e-3)
        nn.init.zeros_(self.last.bias)

    def forward(self, feature: Tensor, canonical: Tensor) -> Tensor:
        """Decode the deformation of the canonical keypoints."""
        x = torch.cat([feature, canonical.flatten(1)], 1)  # (N, E + 3K)
        delta: Tensor = self.last(self.layers(x))
        return delta.float().view_as(canonical)
