"""Faces of people who do not exist: a smooth random change of the face's shape.

It sticks to the head and is the same in both images of a pair. A few bumps, each somewhere on the
face, push its surroundings a little to one side, in head coordinates. So a nose made longer is
longer in every frame, whichever way the head is turned. The picture, its landmarks and its shape
(geometry.shape) are changed alike.
"""

from __future__ import annotations

import attrs
import torch
from torch import Tensor

from mmfa_components.losses.guide import CANONICAL_UNITS

BUMPS = 6
NUMBERS = 8
"""Random numbers in [0, 1) a bump takes: the point it sits by, offset (3), push (3), radius."""
OFFSET, PUSH = 2.0, 0.9
"""Largest offset and push along an axis, centimetres of the canonical face."""
RADII = (2.0, 5.0)
"""Smallest and largest radius (standard deviation) of a bump, centimetres.

Broad beside the push, so that nothing folds."""
REPEATS = 4
"""How often places are looked for anew; each time the error shrinks by PUSH / radius."""


@attrs.frozen(eq=False)
class Bumps:
    """What moves faces (B): ``centre``, ``push`` (B, K, D) and ``radius`` (B, K).

    D is 3 in head coordinates and 2 in the picture's.
    """

    centre: Tensor
    push: Tensor
    radius: Tensor

    def at(self, places: Tensor) -> Tensor:
        """The push (B, P, D) at places (B, P, D) of the changed face."""
        total = torch.zeros_like(places)
        bumps = (values.unbind(1) for values in (self.centre, self.push, self.radius))
        for centre, push, radius in zip(*bumps, strict=True):
            square = (places - centre[:, None]).square().sum(-1, keepdim=True)  # (B, P, 1)
            total = total + torch.exp(-0.5 * square / radius[:, None, None].square()) * push[:, None]
        return total

    def carry(self, points: Tensor) -> Tensor:
        """Where points (B, P, D) of the face as it was are in the changed one."""
        found = points
        for _ in range(REPEATS):
            found = points + self.at(found)
        return found


def bumps_on_heads(shape: Tensor, random: Tensor) -> Bumps:
    """Bumps in head coordinates, centimetres.

    shape: (B, 107, 3) of geometry.shape; the bumps sit by its points and so go along with mouth and
    chin.  random: (B, K, 8) in [0, 1). The pushes of a face have no mean: moving the whole head is
    the pose's business.
    """
    which = (random[..., 0] * shape.shape[1]).long()  # (B, K)
    centre = shape.gather(1, which[..., None].expand(-1, -1, 3)) + OFFSET * (2 * random[..., 1:4] - 1)
    push = PUSH * (2 * random[..., 4:7] - 1)
    low, high = RADII
    return Bumps(centre, push - push.mean(1, keepdim=True), low + (high - low) * random[..., 7])


def posed(bumps: Bumps, rotation: Tensor, place: Tensor) -> Bumps:
    """The same as seen in the picture, in pixels.

    rotation: (B, 3, 3) of the heads.
    place: (B, 3) x, y and the length of one unit of canonical keypoints, in pixels.
    """
    scale = place[:, 2] / CANONICAL_UNITS  # pixels a centimetre

    def seen(vectors: Tensor) -> Tensor:
        return scale[:, None, None] * torch.einsum("bij,bkj->bki", rotation[:, :2], vectors)

    return Bumps(place[:, None, :2] + seen(bumps.centre), seen(bumps.push), scale[:, None] * bumps.radius)
