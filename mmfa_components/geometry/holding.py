"""What of a portrait is held still when it is put back into its picture: shoulders, and the crop's border.

Moved frames meet the picture around them at the border of the crop, and shoulders reach over it: if
they turn with the head, collars tear. So the flow fades to rest towards the border and below the
chin. What the flow shows at a place of a driven frame decides: what lies below the portrait's chin
stays where it is, and so does a place below it, unless the face has come there. So a chin that moves
down is never cut, a head that tilts takes no shoulder along, and the neck is bent, not broken.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from mmfa_components.geometry.grid import grid_points
from mmfa_components.geometry.hull import convex_hull

SIDE = 64
"""Side of the maps."""
BORDER = 0.3
"""Width of the border over which frames come to rest, in units of half the crop's side."""
RIM = 0.06
"""How far from the border, in the same units, they are wholly at rest: two cells of the maps."""
NEAR, FAR = 0.04, 0.27
"""Below the face, how far from it rest begins and is complete, as shares of the face's height."""
ASIDE, BELOW = 0.05, 0.55
"""Cosines, from straight down, of directions from the face where rest is not known and is complete."""
CLEAR = 0.16
"""How far from the face a place shows nothing of the head that may not be cut, as a share of the face's height."""


def still_map(points: Tensor, side: int = SIDE) -> Tensor:
    """Where portraits are held still, (N, 2, side, side) in [0, 1].

    The first map is 1 below the face, from the neck on; the second is 0 on the face, 1 away from it.

    points: (N, P, 2 or more), any landmarks that go around the face, in [-1, 1] over the crop.
    """
    place = grid_points((side, side), torch.device("cpu"))  # (side, side, 2)
    rows = [_maps(place, face.detach().float().cpu()[:, :2]) for face in points]
    return torch.stack(rows).to(points.device)


def _maps(place: Tensor, face: Tensor) -> Tensor:
    low, high = face.amin(0), face.amax(0)
    middle, height = (low + high) / 2, (high - low)[1].clamp_min(1e-3)
    corners = torch.tensor(convex_hull(face))  # (V, 2), clockwise as seen
    edges = corners.roll(-1, 0) - corners
    outward = torch.stack([edges[:, 1], -edges[:, 0]], -1)
    outward = outward / outward.norm(dim=1, keepdim=True).clamp_min(1e-9)
    distance = ((place[:, :, None] - corners) * outward).sum(-1).amax(-1)  # (side, side)
    away = place - middle
    down = away[..., 1] / away.norm(dim=-1).clamp_min(1e-6)
    distance = distance / height
    below = _ramp(distance, NEAR, FAR) * _ramp(down, ASIDE, BELOW)
    return torch.stack([below, _ramp(distance, NEAR, CLEAR)])


def held(where: Tensor, still: Tensor) -> Tensor:
    """How still each place of driven frames is, (N, 1, H, W) in [0, 1].

    where: (N, H, W, 2) in [-1, 1], the place of the portrait that a frame shows.
    still: (1 or N, 2, h, w), of the portrait (see still_map); with (1 or N, 0, h, w) nothing is held.
    """
    if still.shape[1] == 0:
        return where.new_zeros(len(where), 1, *where.shape[1:3])
    still = still.to(where).expand(len(where), -1, -1, -1)
    here = functional.interpolate(still[:, :1], where.shape[1:3], mode="bilinear", align_corners=False)
    below, away = functional.grid_sample(still, where, padding_mode="border", align_corners=False).split(1, 1)
    edge = grid_points(tuple(where.shape[1:3]), where.device, where.dtype).abs().amax(-1)
    still = 1 - (1 - below) * (1 - here * away) * (1 - _ramp(edge, 1 - BORDER, 1 - RIM))
    return still


def eased(flow: Tensor, still: Tensor) -> Tensor:
    """The flow, less where a frame is held still.

    flow: (N, H, W, 2) or (N, D, H, W, 3), places in [-1, 1].  still: (N, 1, H, W) in [0, 1].
    """
    rest = grid_points(tuple(flow.shape[1:-1]), flow.device, flow.dtype)
    amount = still.to(flow)[..., None]  # (N, 1, H, W, 1)
    return torch.lerp(flow, rest.expand_as(flow), amount if flow.dim() == 5 else amount[:, 0])


def _ramp(x: Tensor, low: float, high: float) -> Tensor:
    """0 up to ``low``, 1 from ``high`` on, smooth between."""
    t = ((x - low) / (high - low)).clamp(0, 1)
    smooth: Tensor = t * t * (3 - 2 * t)
    return smooth
