"""Labels of frames: what is read from a data set, and what becomes of it when pictures change.

A recipe names its labels, ``{name: label}``. Each says how it is read from the stored faces, how it
mirrors, how it moves with the picture, and how it is handed to the recipe. All of them work on rows
(B, ...), one a frame, in pixels of the crops as long as pictures change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import attrs
import torch
from torch import Tensor
from torch.nn import functional

from mmfa_components.geometry.apply import apply_affine
from mmfa_components.geometry.compose import similarity
from mmfa_components.geometry.grid import grid_points
from mmfa_components.geometry.rotations import rotate_in_plane
from mmfa_components.geometry.shape import SHAPE_MIRROR, shape_of
from mmfa_components.geometry.squares import square_of_landmarks
from mmfa_components.losses.guide import CANONICAL_UNITS
from mmfa_components.perception.landmarks import REGION_RATIO, LandmarkRotation
from mmfa_components.records import MeshLandmarks
from mmfa_components.training.reshape import Bumps

IMAGE = "image"
"""Name of the pictures among the rows of frames."""

Rows = Mapping[str, Tensor]
"""Rows of frames by the name of their label; IMAGE holds the pictures (B, 3, S, S)."""


class StoredFaces:
    """The faces of a stored clip, as labels read them.

    rotation: (T, 3, 3) of the heads.
    points: (T, 478, 3) mesh landmarks in pixels of the crops.
    fit: fits the canonical face to landmarks.
    """

    def __init__(self, rotation: Tensor, points: Tensor, fit: LandmarkRotation) -> None:
        self.rotation, self.points, self.fit = rotation, points, fit
        self.mesh = MeshLandmarks(points, points.new_ones(len(points)))

    @cached_property
    def solved(self) -> tuple[Tensor, Tensor, Tensor]:
        """Rotation, scale and translation of the canonical face, pixels a centimetre."""
        return self.fit.solve(self.mesh)

    @cached_property
    def frontal(self) -> Tensor:
        """The landmarks without pose (T, 478, 3), in centimetres."""
        return self.fit.frontal(self.mesh, self.solved)


@attrs.frozen(eq=False)
class PictureMove:
    """How the pictures of a batch move: content goes from x to ``zoom Rz(angle) x + shift``.

    angle, zoom: (B,) radians, and how much larger.  shift: (B, 2) in units of half the side.
    side: of the pictures, pixels.  moved: (B,) which of them move; the others are left as they are.
    bumps: changes of the faces' shapes in the picture, in pixels, or None.
    """

    angle: Tensor
    zoom: Tensor
    shift: Tensor
    side: int
    moved: Tensor
    bumps: Bumps | None = None

    @cached_property
    def matrix(self) -> Tensor:
        """The moves as matrices (B, 2, 3)."""
        return similarity(self.angle, self.zoom, self.shift)

    def points(self, points: Tensor) -> Tensor:
        """Where points (B, P, 2), in pixels, are afterwards."""
        half = self.side / 2
        return (apply_affine(self.matrix, points / half - 1) + 1) * half

    @cached_property
    def sampled(self) -> Tensor:
        """Where each pixel of the moved pictures comes from, (B, S, S, 2) in [-1, 1]."""
        side, half = self.side, self.side / 2
        # output y samples input x = Rz(-angle) (y - shift) / zoom
        inverse = similarity(-self.angle, 1 / self.zoom, torch.zeros_like(self.shift))
        grid = grid_points((side, side), self.angle.device).view(1, -1, 2) - self.shift[:, None]
        where = (inverse[:, None, :, :2] * grid[:, :, None, :]).sum(-1)  # (B, S * S, 2)
        if self.bumps is not None:
            where = where - self.bumps.at((where + 1) * half) / half
        return where.view(-1, side, side, 2)

    @cached_property
    def changed(self) -> Tensor:
        """Which pictures are resampled (B,)."""
        if self.bumps is None:
            return self.moved
        return self.moved | self.bumps.push.flatten(1).any(1)


Read = Callable[[StoredFaces], Tensor]


@attrs.frozen
class Label:
    """A label that no change of the pictures touches. read: stored faces -> rows (T, ...)."""

    read: Read

    def mirrored(self, rows: Tensor, side: float) -> Tensor:
        """Rows of the mirrored pictures of width ``side``."""
        return rows

    def reshaped(self, rows: Tensor, heads: Bumps, seen: Bumps) -> Tensor:
        """Rows of faces of another shape; bumps in head coordinates and in the picture."""
        return rows

    def moved(self, rows: Tensor, move: PictureMove) -> Tensor:
        """Rows of the moved pictures."""
        return rows

    def relative(self, rows: Tensor, side: float) -> Tensor:
        """Rows as recipes get them."""
        return rows


@attrs.frozen
class Image(Label):
    """Pictures (B, C, S, S), float in [0, 1]."""

    def mirrored(self, rows: Tensor, side: float) -> Tensor:
        """Left and right are swapped."""
        return rows.flip(-1)

    def moved(self, rows: Tensor, move: PictureMove) -> Tensor:
        """Resampled once, bicubic; outside is the reflection of the inside."""
        image = functional.grid_sample(rows, move.sampled, "bicubic", "reflection", align_corners=False).clamp(0, 1)
        return torch.where(move.changed[:, None, None, None], image, rows)


@attrs.frozen
class Turn(Label):
    """Rotations of heads (B, 3, 3), canonical to posed."""

    def mirrored(self, rows: Tensor, side: float) -> Tensor:
        """``M R M`` with the mirror M."""
        sign = torch.tensor((-1.0, 1.0, 1.0), device=rows.device)
        return rows * sign[:, None] * sign[None]

    def moved(self, rows: Tensor, move: PictureMove) -> Tensor:
        """Turned in the picture's plane."""
        return rotate_in_plane(rows, move.angle)


@attrs.frozen
class Points(Label):
    """Landmarks (B, P, 2), handed over in [-1, 1]. swapped: which point each becomes mirrored."""

    swapped: Sequence[int]

    def mirrored(self, rows: Tensor, side: float) -> Tensor:
        """x is mirrored, and the person's right and left change their numbers."""
        rows = rows[:, list(self.swapped)]
        return torch.stack([side - rows[..., 0], rows[..., 1]], -1)

    def reshaped(self, rows: Tensor, heads: Bumps, seen: Bumps) -> Tensor:
        """The points stick to the face."""
        return seen.carry(rows)

    def moved(self, rows: Tensor, move: PictureMove) -> Tensor:
        """The points move with the picture."""
        return move.points(rows)

    def relative(self, rows: Tensor, side: float) -> Tensor:
        """From pixels to [-1, 1]."""
        return rows / (side / 2) - 1


@attrs.frozen
class Square(Label):
    """Squares (B, 4): centre x, y, side, clockwise angle, in pixels and radians."""

    def mirrored(self, rows: Tensor, side: float) -> Tensor:
        """x and angle are mirrored."""
        x, y, width, angle = rows.unbind(1)
        return torch.stack([side - x, y, width, -angle], 1)

    def moved(self, rows: Tensor, move: PictureMove) -> Tensor:
        """The square moves, grows and turns with the picture."""
        centre = move.points(rows[:, None, :2])[:, 0]
        size, angle = rows[:, 2] * move.zoom, rows[:, 3] + move.angle
        return torch.cat([centre, size[:, None], angle[:, None]], 1)


@attrs.frozen
class Place(Label):
    """Places with a length (B, 3): x, y, length in pixels.

    Handed over as x, y in [-1, 1] and the logarithm of the length in units of half the side.
    """

    def mirrored(self, rows: Tensor, side: float) -> Tensor:
        """x is mirrored."""
        x, y, length = rows.unbind(1)
        return torch.stack([side - x, y, length], 1)

    def moved(self, rows: Tensor, move: PictureMove) -> Tensor:
        """The place moves with the picture; the length grows."""
        return torch.cat([move.points(rows[:, None, :2])[:, 0], (rows[:, 2] * move.zoom)[:, None]], 1)

    def relative(self, rows: Tensor, side: float) -> Tensor:
        """See the class."""
        half = side / 2
        return torch.cat([rows[:, :2] / half - 1, (rows[:, 2:] / half).log()], 1)


@attrs.frozen
class Shape(Label):
    """Points of the face without pose (B, P, 3), in centimetres; no picture moves them.

    swapped: which point each becomes mirrored.
    """

    swapped: Sequence[int]

    def mirrored(self, rows: Tensor, side: float) -> Tensor:
        """x is mirrored, and the person's right and left change their numbers."""
        return rows[:, list(self.swapped)] * torch.tensor([-1.0, 1.0, 1.0], device=rows.device)

    def reshaped(self, rows: Tensor, heads: Bumps, seen: Bumps) -> Tensor:
        """The points stick to the face."""
        return heads.carry(rows)


def _place(faces: StoredFaces) -> Tensor:
    _, scale, translation = faces.solved
    return torch.cat([translation[:, :2], CANONICAL_UNITS * scale[:, None]], 1)


ROTATION = Turn(lambda faces: faces.rotation)
"""The head's rotation, as the data set holds it."""
REGION = Square(lambda faces: square_of_landmarks(faces.points, REGION_RATIO))
"""The square the landmark network looks at."""
PLACE = Place(_place)
"""Where the canonical face is, and the length of CANONICAL_UNITS of its units."""
SHAPE = Shape(lambda faces: shape_of(faces.frontal), SHAPE_MIRROR)
"""The face's shape of geometry.shape."""


def mesh_points(indices: Sequence[int], swapped: Sequence[int]) -> Points:
    """Some of the 478 mesh landmarks. swapped: which of them each becomes in a mirrored picture."""
    return Points(lambda faces: faces.points[:, list(indices), :2], tuple(swapped))
