"""A small face-animation system for tests: a "face" is a red disc with a white nose.

Where the nose lies on the disc is the head's rotation, the disc's green is its expression, its blue its identity, its place and
size are translation and scale. Decomposing what was rendered gives back the motion, so tracking, transfer and rendering are
truly checked. Registered through the same hooks as any plugin.
"""

from __future__ import annotations

import sys
from pathlib import Path

import attrs
import torch
from torch import Tensor

from mmfa_components import records as r
from mmfa_components.geometry.grid import grid_points
from mmfa_components.geometry.holding import held
from mmfa_components.geometry.rotations import euler_to_matrix
from mmfa_components.hookspecs import hookimpl
from mmfa_components.kinds import ComponentSpec, Context
from mmfa_components.records import Record
from mmfa_components.records import base as base_records
from mmfa_components.registry import Plugin, Registry, inspect_plugin

SIDE = 64
NOSE_REACH, NOSE_SIZE = 0.6, 0.25
BACKGROUND = (0.1, 0.15, 0.2)


@attrs.frozen
class Disc:
    """One face in a picture of any size: centre and radius in pixels, yaw in radians, smile and tint in [0, 1]."""

    x: float
    y: float
    radius: float
    yaw: float = 0.0
    smile: float = 0.5
    tint: float = 0.0


def draw(discs: list[Disc], width: int, height: int) -> Tensor:
    """A picture (H, W, 3) uint8 with these faces."""
    picture = torch.tensor(BACKGROUND)[:, None, None].repeat(1, height, width)
    for d in discs:
        nose = torch.tensor(-d.yaw).sin().item()
        picture = _paint(picture, d.x, d.y, d.radius, (nose, 0.0), d.smile, d.tint)
    return (picture * 255).round().to(torch.uint8).permute(1, 2, 0)


def _paint(picture: Tensor, x: float, y: float, radius: float, nose: tuple[float, float], smile: float, tint: float) -> Tensor:
    height, width = picture.shape[-2:]
    v, u = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    disc = (radius - ((u - x) ** 2 + (v - y) ** 2).sqrt() + 0.5).clamp(0, 1)
    nx, ny = x + NOSE_REACH * radius * nose[0], y + NOSE_REACH * radius * nose[1]
    dot = (NOSE_SIZE * radius - ((u - nx) ** 2 + (v - ny) ** 2).sqrt() + 0.5).clamp(0, 1)
    skin = torch.tensor([1.0, 0.2 + 0.5 * smile, 0.6 * tint])[:, None, None]
    return picture * (1 - disc) + skin * (disc - dot * disc) + dot * disc


@attrs.frozen
class DetectorOptions:
    """min_score: as any detector's."""

    min_score: float = 0.5


class Detector:
    """Finds discs that do not overlap in x."""

    def __init__(self, options: DetectorOptions, context: Context) -> None:
        self.options = options

    def __call__(self, frames: r.Frames) -> r.FaceDetections:
        """One detection per run of columns that hold red."""
        images, boxes, points = [], [], []
        for image, rgb in enumerate(frames.rgb):
            mask = rgb[0] > 0.5
            columns = (mask.sum(0) > 2).int()
            edges = torch.diff(columns, prepend=columns.new_zeros(1), append=columns.new_zeros(1))
            for x0, x1 in zip((edges == 1).nonzero().flatten().tolist(), (edges == -1).nonzero().flatten().tolist(), strict=True):
                rows = mask[:, x0:x1].any(1).nonzero().flatten()
                y0, y1 = float(rows.min()), float(rows.max()) + 1
                radius, cx, cy = (x1 - x0) / 2, (x0 + x1) / 2, (y0 + y1) / 2
                images.append(image)
                boxes.append([float(x0), y0, float(x1), y1])
                offsets = [(-0.4, -0.4), (0.4, -0.4), (0.0, 0.0), (0.0, 0.4), (-0.9, -0.2), (0.9, -0.2)]
                points.append([[cx + radius * a, cy + radius * b] for a, b in offsets])
        device = frames.device
        return r.FaceDetections(
            torch.tensor(images, dtype=torch.int64, device=device),
            torch.tensor(boxes, device=device).view(-1, 4),
            torch.ones(len(images), device=device),
            torch.tensor(points, device=device).view(-1, 6, 2),
        )


class LandmarkDetector:
    """Eight points on the rim of the disc nearest to the region's centre."""

    def __init__(self, options: object, context: Context) -> None:
        pass

    def __call__(self, frames: r.Frames, regions: r.FaceRegions) -> r.Landmarks:
        """Absent when less than a twentieth of the region is red."""
        points, presence = [], []
        angles = torch.arange(8) * torch.pi / 4
        rim = torch.stack([angles.cos(), angles.sin(), 0 * angles], -1)
        for rgb, (cx, cy, side, _) in zip(frames.rgb, regions.squares.tolist(), strict=True):
            height, width = rgb.shape[-2:]
            x0, x1 = max(0, int(cx - side / 2)), min(width, int(cx + side / 2))
            y0, y1 = max(0, int(cy - side / 2)), min(height, int(cy + side / 2))
            mask = rgb[0, y0:y1, x0:x1] > 0.5
            columns = torch.arange(x0, x1, device=rgb.device)
            empty = columns[~mask.any(0)]  # only the columns joined to the centre belong to this disc
            left = empty[empty < cx].max() if bool((empty < cx).any()) else x0 - 1
            right = empty[empty >= cx].min() if bool((empty >= cx).any()) else x1
            v, u = (mask & (columns > left) & (columns < right)).nonzero(as_tuple=True)
            seen = len(u) > 0.05 * side * side
            centre = torch.tensor([float(u.float().mean()) + x0 + 0.5, float(v.float().mean()) + y0 + 0.5, 0.0]) if seen else torch.zeros(3)
            points.append(centre + rim * (len(u) / torch.pi) ** 0.5)
            presence.append(1.0 if seen else 0.0)
        return r.Landmarks(torch.stack(points).to(frames.device), torch.tensor(presence, device=frames.device))


@attrs.frozen(eq=False)
class Tint(Record):
    """Identity of a disc: (N, 1) float."""

    tint: Tensor = base_records.tensor("N", 1)


@attrs.frozen
class AnimatorOptions:
    """fail_at: raise in the n-th call of render; 0: never.  slow: seconds a rendered batch takes at least."""

    fail_at: int = 0
    slow: float = 0.0


class Animator:
    """Measures and paints discs in crops of 64 pixels."""

    crop_size = SIDE

    def __init__(self, options: AnimatorOptions, context: Context) -> None:
        self.options, self.calls, self.encoded, self.decomposed = options, 0, 0, 0

    def _measure(self, crops: r.Frames) -> tuple[Tensor, ...]:
        rgb = crops.rgb
        grid = (torch.arange(SIDE, device=rgb.device) + 0.5) * 2 / SIDE - 1
        disc = (rgb[:, 0] > 0.5).float()
        nose = ((rgb[:, 1] > 0.8) & (rgb[:, 2] > 0.7)).float()
        skin = disc * (1 - nose)

        def mean(values: Tensor, weight: Tensor) -> Tensor:
            return (values * weight).sum((1, 2)) / weight.sum((1, 2)).clamp_min(1)

        x, y = mean(grid.expand_as(disc), disc), mean(grid[:, None].expand_as(disc), disc)
        nx, ny = mean(grid.expand_as(nose), nose), mean(grid[:, None].expand_as(nose), nose)
        radius = (disc.sum((1, 2)) / torch.pi).sqrt() * 2 / SIDE  # units of half the side
        sx = ((nx - x) / (NOSE_REACH * radius).clamp_min(1e-6)).clamp(-0.95, 0.95)
        sy = ((ny - y) / (NOSE_REACH * radius).clamp_min(1e-6)).clamp(-0.95, 0.95)
        return x, y, radius, sx, sy, mean(rgb[:, 1], skin), mean(rgb[:, 2], skin)

    def encode(self, crops: r.Frames, landmarks: r.Landmarks) -> Tint:
        """Identity is the disc's blue."""
        self.encoded += len(crops)
        return Tint(self._measure(crops)[6][:, None])

    def decompose(self, crops: r.Frames, landmarks: r.Landmarks) -> r.Motion:
        """Rotation from the nose, scale and translation from the disc, expression from its green."""
        self.decomposed += len(crops)
        x, y, radius, sx, sy, green, _ = self._measure(crops)
        yaw = torch.asin(-sx)
        pitch = torch.asin((-sy / yaw.cos()).clamp(-0.99, 0.99))
        return r.Motion(euler_to_matrix(yaw, pitch, 0 * yaw), radius, torch.stack([x, y, 0 * x], -1), green[:, None])

    def render(self, identity: Tint, source: r.Motion, driving: r.Motion) -> r.Frames:
        """Paint the disc of each frame."""
        import time

        self.calls += 1
        if self.calls == self.options.fail_at:
            raise RuntimeError("the disc broke")
        time.sleep(self.options.slow)
        return r.Frames(self._painted(identity, driving, SIDE))

    def _painted(self, identity: Tint, driving: r.Motion, side: int) -> Tensor:
        pictures = []
        tint = identity.tint.expand(len(driving), 1)
        for i in range(len(driving)):
            base = torch.tensor(BACKGROUND)[:, None, None].repeat(1, side, side)
            x, y = ((driving.translation[i, :2] + 1) * side / 2).tolist()
            nose = (float(driving.rotation[i, 0, 2]), float(driving.rotation[i, 1, 2]))
            smile = (float(driving.expression[i, 0]) - 0.2) / 0.5
            pictures.append(_paint(base, x, y, float(driving.scale[i]) * side / 2, nose, smile, float(tint[i, 0]) / 0.6))
        return torch.stack(pictures).clamp(0, 1).to(driving.device)


class DetailedAnimator(Animator):
    """Paints larger discs, too, and holds the border of the portrait still."""

    largest_side = 2 * SIDE

    def render_view(self, identity: Tint, source: r.Motion, driving: r.Motion, view: r.View) -> r.Viewed:
        """Paint larger discs; what is held still is the portrait."""
        at_rest = grid_points((SIDE, SIDE), driving.device).expand(len(driving), -1, -1, -1)
        still, side = held(at_rest, view.still), view.rgb.shape[-1]
        share = torch.nn.functional.interpolate(still, size=(side, side), mode="bilinear")
        return r.Viewed(torch.lerp(self._painted(identity, driving, side), view.rgb.float(), share), still)


@hookimpl
def mmfa_components() -> list[ComponentSpec]:
    """Detector, landmarks and animator, all called "disc", and an animator with views."""
    return [
        ComponentSpec("face_detector", "disc", Detector, (r.Frames,), (r.FaceDetections,), DetectorOptions),
        ComponentSpec("landmark_detector", "disc", LandmarkDetector, (r.Frames, r.FaceRegions), (r.Landmarks,)),
        ComponentSpec("animator", "disc", Animator, (r.Frames, r.Landmarks), (Tint, r.Motion, r.Frames), AnimatorOptions),
        ComponentSpec("animator", "disc_view", DetailedAnimator, (r.Frames, r.Landmarks), (Tint, r.Motion, r.Frames), AnimatorOptions),
    ]


@hookimpl
def mmfa_records() -> list[type[Record]]:
    """The identity record."""
    return [Tint]


def disc_registry() -> Registry:
    """A registry that holds this plugin only, beside MMFA's own records."""
    own = {n: c for n, c in vars(r).items() if isinstance(c, type) and issubclass(c, Record)}
    registry = Registry(records=own)
    plugin = Plugin("disc", "tests", "1", Path(__file__).name)
    registry.add(inspect_plugin(plugin, sys.modules[__name__]))
    return registry
