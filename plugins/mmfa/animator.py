"""The MMFA animator: composes the parts into portrait -> Identity, frames -> Motion, (Identity, Motion) -> frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import torch
from torch import Tensor

from mmfa_components import records as r
from mmfa_components.errors import ConfigError, RecordError, did_you_mean
from mmfa_components.geometry.compose import compose
from mmfa_components.geometry.holding import eased, held
from mmfa_components.geometry.regions import LANDMARKS as REGION_LANDMARKS
from mmfa_components.geometry.regions import blend_regions, keypoint_regions
from mmfa_components.kinds import ComponentSpec, Context
from plugins.mmfa.presets import preset

PARTS = (
    "rotation_estimator",
    "keypoint_detector",
    "affine_estimator",
    "expression_codec",
    "appearance_extractor",
    "dense_motion",
    "generator",
)
"""The kinds of part."""


@attrs.frozen
class AnimatorOptions:
    """Which component each part is, and their options.

    preset, weights: handed to every part called "mmfa" (see PartOptions).  parts: options by kind, over those two.
    """

    preset: str = "base"
    weights: str = ""
    rotation_estimator: str = "facemesh"
    keypoint_detector: str = "mmfa"
    affine_estimator: str = "mmfa"
    expression_codec: str = "mmfa"
    appearance_extractor: str = "mmfa"
    dense_motion: str = "mmfa"
    generator: str = "mmfa"
    parts: dict[str, dict[str, Any]] = attrs.field(factory=dict)


def make_animator(options: AnimatorOptions, context: Context) -> MMFAAnimator:
    """Build the animator. Raises ConfigError when a part is of an unknown kind."""
    for kind in options.parts:
        if kind not in PARTS:
            raise ConfigError(f"MMFA has no part {kind!r}", where="animator.options.parts", fix=did_you_mean(kind, PARTS))
    built: dict[str, Any] = {}
    specs: dict[str, ComponentSpec] = {}
    for kind in PARTS:
        name: str = getattr(options, kind)
        specs[kind] = context.spec(kind, name)
        own = {"preset": options.preset, "weights": options.weights} if name == "mmfa" else {}
        built[kind] = context.build(kind, name, {**own, **options.parts.get(kind, {})})
    needs = {kind: specs[kind].needs for kind in ("rotation_estimator", "expression_codec")}
    return MMFAAnimator(built, needs, preset(options.preset).sizes.image)


class MMFAAnimator:
    """MMFA on 256x256 crops (paper Fig. 2). All methods take and give records on one device."""

    def __init__(self, parts: Mapping[str, Any], needs: Mapping[str, tuple[type[r.Record], ...]], crop_size: int = 256) -> None:
        self.parts, self.crop_size = parts, crop_size
        self.largest_side = int(getattr(parts["generator"], "largest_side", 0))  # 0: a part that cannot paint
        self.needs = {kind: [n for n in all_needs if issubclass(n, (r.Frames, r.Landmarks)) or kind == "rotation_estimator"]
                      for kind, all_needs in needs.items()}  # fmt: skip
        self.decodes_in_a_pose = r.Rotation in needs["expression_codec"]

    def encode(self, crops: r.Frames, landmarks: r.Landmarks) -> r.Identity:
        """Canonical keypoints, appearance and regions of portraits (N, 3, 256, 256); landmarks in pixels of the crops."""
        canonical: r.CanonicalKeypoints = self.parts["keypoint_detector"](crops)
        appearance: r.Appearance = self.parts["appearance_extractor"](crops)
        regions = self._regions(canonical, crops, landmarks)
        return r.Identity(canonical.points, appearance.volume, appearance.image, *regions)

    def decompose(self, crops: r.Frames, landmarks: r.Landmarks) -> r.Motion:
        """Rotation, scale, translation and expression of frames (N, 3, 256, 256); landmarks in pixels of the crops."""

        def asked_by(kind: str) -> list[r.Record]:
            return [_hand_over(need, kind, crops, landmarks) for need in self.needs[kind]]

        rotation: r.Rotation = self.parts["rotation_estimator"](*asked_by("rotation_estimator"))
        affine: r.Affine = self.parts["affine_estimator"](crops)
        expression: r.Expression = self.parts["expression_codec"].encode(*asked_by("expression_codec"))
        return r.Motion(rotation.matrix.to(affine.scale), affine.scale, affine.translation, expression.feature)

    def render(self, identity: r.Identity, source: r.Motion, driving: r.Motion) -> r.Frames:
        """Frames (N, 3, 256, 256) of the identity moved from its own motion ``source`` to ``driving`` (eq. 5 for both).

        Keypoints of the eyes and of the mouth are deformed by their own expressions where ``driving`` is a RegionalMotion.
        """
        return self._render(identity, *self._posed(identity, source, driving))

    def render_view(self, identity: r.Identity, source: r.Motion, driving: r.Motion, view: r.View) -> r.Viewed:
        """As ``render``, with the portrait's own pixels at the side of ``view``, partly held still."""
        appearance = r.Appearance(identity.volume, identity.image)
        flow: r.DenseMotion = self.parts["dense_motion"](appearance, *self._posed(identity, source, driving))
        where = flow.surface[:, :2].permute(0, 2, 3, 1)  # (N, H, W, 2)
        if not where.shape[-1]:
            where = flow.flow[..., :2].mean(1)
        still = held(where, view.still)
        surface = torch.cat([eased(where, still).permute(0, 3, 1, 2), flow.surface[:, 2:]], 1)
        flow = attrs.evolve(flow, flow=eased(flow.flow, still), surface=surface)
        return r.Viewed(self.parts["generator"].paint(appearance, flow, view.rgb, still), still)

    def _posed(self, identity: r.Identity, source: r.Motion, driving: r.Motion) -> tuple[r.Keypoints, r.Keypoints]:
        """The keypoints of both motions."""
        canonical = r.CanonicalKeypoints(identity.canonical)
        rows = _rows(canonical, driving)
        deformation = self._deform(driving.expression, rows, driving.rotation)
        if isinstance(driving, r.RegionalMotion):
            eyes, mouth = (self._deform(e, rows, driving.rotation) for e in (driving.eyes, driving.mouth))
            many = len(identity.eyes) in (1, len(driving))
            weights = (identity.eyes, identity.mouth) if many else (identity.eyes[:1], identity.mouth[:1])
            deformation = blend_regions(deformation, eyes, mouth, weights)
        return self.pose(canonical, source), compose(rows, deformation, driving)

    def render_neutral(self, identity: r.Identity, source: r.Motion, driving: r.Motion) -> r.Frames:
        """As ``render``, but with the canonical keypoints themselves, without deformation (delta = 0 in eq. 5)."""
        canonical = r.CanonicalKeypoints(identity.canonical)
        rows = _rows(canonical, driving)
        still = r.Deformation(rows.points.new_zeros(len(driving), *rows.points.shape[1:]))
        return self._render(identity, self.pose(canonical, source), compose(rows, still, driving))

    def pose(self, canonical: r.CanonicalKeypoints, motion: r.Motion) -> r.Keypoints:
        """Keypoints of an identity in a motion (eq. 4, 5); one row of the canonical keypoints serves all rows of the motion."""
        rows = _rows(canonical, motion)
        return compose(rows, self._deform(motion.expression, rows, motion.rotation), motion)

    def knows_regions(self, landmarks: type[r.Landmarks]) -> bool:
        """True for the face mesh and for contours, which say where eyes and mouth are."""
        return issubclass(landmarks, (r.MeshLandmarks, r.ContourLandmarks))

    def _regions(self, canonical: r.CanonicalKeypoints, crops: r.Frames, landmarks: r.Landmarks) -> tuple[Tensor, Tensor]:
        """Which keypoints are near the eyes and the mouth, as the landmarks show them; zeros when they do not."""
        points = canonical.points
        if landmarks.points.shape[1] not in REGION_LANDMARKS:
            return points.new_zeros(points.shape[:2]), points.new_zeros(points.shape[:2])
        posed = self.pose(canonical, self.decompose(crops, landmarks)).points[..., :2]
        return keypoint_regions(posed, landmarks.points[..., :2].to(posed) * (2 / self.crop_size) - 1)

    def _deform(self, expression: Tensor, rows: r.CanonicalKeypoints, rotation: Tensor) -> r.Deformation:
        posed = (r.Rotation(rotation.to(expression)),) if self.decodes_in_a_pose else ()
        deformation: r.Deformation = self.parts["expression_codec"].decode(r.Expression(expression), rows, *posed)
        return deformation

    def _render(self, identity: r.Identity, source: r.Keypoints, driving: r.Keypoints) -> r.Frames:
        appearance = r.Appearance(identity.volume, identity.image)
        flow: r.DenseMotion = self.parts["dense_motion"](appearance, source, driving)
        rendering: r.Rendering = self.parts["generator"](appearance, flow)
        return r.Frames(rendering.image.clamp(0, 1))


def _rows(canonical: r.CanonicalKeypoints, motion: r.Motion) -> r.CanonicalKeypoints:
    rows = canonical.points.shape[0]  # not len(): an export keeps shapes free, but not lengths
    return canonical if rows == 1 or rows == motion.scale.shape[0] else canonical[:1]


def _hand_over(need: type[r.Record], kind: str, crops: r.Frames, landmarks: r.Landmarks) -> r.Record:
    """What a part asks for. Raises RecordError when these are not the landmarks it needs, or something else altogether."""
    if issubclass(need, r.Landmarks):
        return landmarks if isinstance(landmarks, need) else need(landmarks.points, landmarks.presence)
    if need is r.Frames:
        return crops
    raise RecordError(f"the {kind.replace('_', ' ')} needs {need.__name__}", where=f"animator.options.{kind}")
