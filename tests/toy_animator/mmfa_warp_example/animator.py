"""The animator: landmarks say how the pieces of a face move, and the portrait's own pixels move with them."""

from __future__ import annotations

import attrs
import torch
from torch import Tensor
from torch.nn import functional

from mmfa_components.geometry.grid import grid_points
from mmfa_components.kinds import Context
from mmfa_components.records import Frames, Landmarks, Record, tensor
from mmfa_warp_example.motion import PointMotion


@attrs.frozen
class WarpOptions:
    """points: numbers of the landmarks that are followed (nose, lips, eye corners, chin).  axis: two that
    show how far the head is tilted.  reach: how far a point's motion reaches, as a share of the crop.
    """

    points: tuple[int, ...] = (1, 13, 14, 33, 133, 362, 263, 152)
    axis: tuple[int, ...] = (33, 263)
    reach: float = attrs.field(default=0.25, validator=attrs.validators.gt(0.0))


@attrs.frozen(eq=False)
class Picture(Record):
    """All this animator keeps of a portrait: (N, 3, S, S) float in [0, 1]."""

    rgb: Tensor = tensor("N", 3, "S", "S")


class WarpAnimator:
    """Portraits moved by a weighted mean of local affine maps (the sparse motion of FOMM, without networks)."""

    crop_size = 128

    def __init__(self, options: WarpOptions, context: Context) -> None:
        self.options = options

    def encode(self, crops: Frames, landmarks: Landmarks) -> Picture:
        """The picture itself."""
        return Picture(crops.rgb)

    def decompose(self, crops: Frames, landmarks: Landmarks) -> PointMotion:
        """Points and their frames: the head's size and tilt, the same for all points."""
        places = landmarks.points[..., :2].to(crops.rgb) * (2 / self.crop_size) - 1  # (N, P, 2)
        left, right = (places[:, i] for i in self.options.axis)
        across = (right - left) / 2  # (N, 2)
        turned = torch.stack([-across[:, 1], across[:, 0]], -1)
        frame = torch.stack([across, turned], -1)  # (N, 2, 2), columns across and down the face
        points = places[:, list(self.options.points)]
        return PointMotion(points, frame[:, None].expand(-1, points.shape[1], -1, -1).contiguous())

    def render(self, identity: Picture, source: PointMotion, driving: PointMotion) -> Frames:
        """For every pixel z: where the portrait shows it, ``p_s + J_s J_d^-1 (z - p_d)`` of the points nearby."""
        frames, side = len(driving), identity.rgb.shape[-1]
        z = grid_points((side, side), driving.device).to(driving.points)  # (S, S, 2)
        away = z[None, None] - driving.points[:, :, None, None]  # (N, K, S, S, 2)
        local = source.jacobians @ torch.linalg.inv(driving.jacobians)  # (N, K, 2, 2)
        moved = source.points[:, :, None, None] + (local[:, :, None, None] @ away[..., None])[..., 0]
        weight = torch.softmax(-away.square().sum(-1) / (2 * self.options.reach) ** 2, dim=1)
        where = (weight[..., None] * moved).sum(1)  # (N, S, S, 2)
        picture = identity.rgb.expand(frames, -1, -1, -1).to(where)
        shown = functional.grid_sample(picture, where, padding_mode="border", align_corners=False)
        return Frames(shown.clamp(0, 1))
