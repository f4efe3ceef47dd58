"""The kinds of component, what each kind's objects can do, and how one is registered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import attrs
import torch

from mmfa_components import records as r
from mmfa_components.presets import Preset
from mmfa_components.weights import WeightsCatalogue

if TYPE_CHECKING:
    from mmfa_components.networks.counting import SizeRow

KINDS: Mapping[str, str] = {
    "face_detector": "finds all faces of an image",
    "landmark_detector": "face-mesh points inside a face region",
    "rotation_estimator": "head rotation as a 3x3 matrix",
    "keypoint_detector": "canonical keypoints of a portrait (x_c)",
    "affine_estimator": "scale s > 0 and translation t",
    "expression_codec": "expression feature e of an image; deformation delta of keypoints from e",
    "expression_vae": "Gaussian latent space of expression features",
    "appearance_extractor": "appearance volume of a portrait",
    "dense_motion": "dense flow and occlusion from sparse keypoints",
    "generator": "images from the warped appearance",
    "discriminator": "real/fake scores for adversarial training",
    "animator": "portrait -> Identity, frames -> Motion, (Identity, Motion) -> frames",
    "metric": "a figure that compares results with references",
    "recipe": "how an animator's networks are trained",
    "vae_recipe": "how an animator's latent space of expressions is trained",
}


@attrs.frozen
class Context:
    """What a factory gets besides its options.

    device: where the component's tensors live.  dtype: compute dtype under autocast (float32, bfloat16, float16).
    weights: the catalogue to load weights from.  build: builds another registered component, ``build(kind, name, options)``
    with ``options`` a mapping or an instance of its options class; animators use it to get their parts.
    spec: looks a registered component up, ``spec(kind, name)``.
    """

    device: torch.device
    dtype: torch.dtype
    weights: WeightsCatalogue
    build: Callable[[str, str, Any], Any]
    spec: Callable[[str, str], ComponentSpec]


@attrs.frozen
class NoOptions:
    """For components without options."""


@attrs.frozen
class ComponentSpec:
    """One registered component.

    kind: a key of KINDS.  name: unique in its kind.  factory: ``factory(options, context) -> component``.
    options: attrs class of its options, every field with a default.  needs / gives: record classes the component takes and
    returns, in call order.  version: raised whenever its results change (part of the cache key).
    weights: names of the WeightsFile entries it loads with default options.  summary: one line for ``plugins list``.
    default: taken where a file names no component of this kind; one plugin may say so of a kind.
    presets: of a system, by name; the option ``preset`` of its components chooses one.
    size_table: preset name -> parameters and operations of the system's networks, for ``plugins sizes``.
    """

    kind: str = attrs.field(validator=attrs.validators.in_(KINDS))
    name: str
    factory: Callable[[Any, Context], Any]
    needs: tuple[type[r.Record], ...] = ()
    gives: tuple[type[r.Record], ...] = ()
    options: type[Any] = NoOptions
    version: str = "1"
    weights: tuple[str, ...] = ()
    summary: str = ""
    default: bool = False
    presets: Mapping[str, Preset] = attrs.field(factory=dict, eq=False)
    size_table: Callable[[str], Sequence[SizeRow]] | None = None


# ---- what the objects of each kind can do (structural: no base class to inherit) --------------------------------------
class FaceDetector(Protocol):
    def __call__(self, frames: r.Frames) -> r.FaceDetections: ...


class LandmarkDetector(Protocol):
    def __call__(self, frames: r.Frames, regions: r.FaceRegions) -> r.Landmarks: ...


class RotationEstimator(Protocol):
    """Called with the records its spec names in ``needs``: ``Landmarks`` or crop ``Frames``."""

    def __call__(self, *needed: Any) -> r.Rotation: ...


class KeypointDetector(Protocol):
    def __call__(self, crops: r.Frames) -> r.CanonicalKeypoints: ...


class AffineEstimator(Protocol):
    def __call__(self, crops: r.Frames) -> r.Affine: ...


class ExpressionCodec(Protocol):
    """encode is called with the ``Frames`` and ``Landmarks`` its spec names in ``needs``; decode with the ``Rotation`` if that is named."""

    def encode(self, *needed: Any) -> r.Expression: ...
    def decode(self, expression: r.Expression, canonical: r.CanonicalKeypoints, *posed: r.Rotation) -> r.Deformation: ...


class ExpressionVAE(Protocol):
    def encode(self, expression: r.Expression) -> r.Latent: ...
    def decode(self, latent: torch.Tensor) -> r.Expression: ...


class AppearanceExtractor(Protocol):
    def __call__(self, crops: r.Frames) -> r.Appearance: ...


class DenseMotionEstimator(Protocol):
    def __call__(self, appearance: r.Appearance, source: r.Keypoints, driving: r.Keypoints) -> r.DenseMotion: ...


class Generator(Protocol):
    def __call__(self, appearance: r.Appearance, motion: r.DenseMotion) -> r.Rendering: ...


class Discriminator(Protocol):
    def __call__(self, crops: r.Frames) -> r.Scores: ...


class Animator(Protocol):
    """A whole system. ``crop_size`` is the side of the square crops it works on; ``motion`` its own motion record class.

    ``rotation_needs_landmarks`` style details stay inside: ``decompose`` gets the crops and their landmarks (in crop pixels).
    """

    crop_size: int
    motion: type[r.Record]

    def encode(self, crops: r.Frames) -> r.Record: ...
    def decompose(self, crops: r.Frames, landmarks: r.Landmarks) -> r.Record: ...
    def render(self, identity: Any, source: Any, driving: Any) -> r.Frames:
        """Render frames: identity and source motion with N = 1 or N = frames, driving motion with N = frames."""
        ...


@attrs.frozen
class MetricFacts:
    """What every table says of a metric.

    title: of its column.  definition, range, backbone: for the footnote; backbone is "none" where there is no network, and says plainly
    when it stands in for another.  higher: True when higher is better.  digits: shown after the decimal point.
    cross: what results are compared with where source and driver are different people: "source", "driving", or "" (not measured there).
    """

    title: str
    definition: str
    range: str
    backbone: str
    higher: bool
    digits: int = 3
    cross: str = attrs.field(default="", validator=attrs.validators.in_(("source", "driving", "")))


@runtime_checkable
class RegionalAnimator(Protocol):
    """What an animator may do besides: eyes and mouth moved apart from the rest of the face. Others render a RegionalMotion as Motion."""

    def regions(self, identity: Any, source: Any, landmarks: r.Landmarks) -> r.KeypointRegions:
        """Which keypoints of portraits belong to which region: identity, motion and landmarks (crop pixels) of N portraits."""
        ...

    def render_regions(self, identity: Any, source: Any, driving: r.RegionalMotion, regions: r.KeypointRegions) -> r.Frames:
        """As ``render``, each region with its own expression; regions with N = 1 or N = frames."""
        ...


@runtime_checkable
class NeutralAnimator(Protocol):
    """What an animator may do besides: show the canonical face, without any deformation by expression (paper Fig. 7)."""

    def render_neutral(self, identity: Any, source: Any, driving: Any) -> r.Frames:
        """As ``render``, but the keypoints are those of the canonical face in the pose of ``driving``; its expression does not count."""
        ...


class Metric(Protocol):
    """Compares pairs of images: (N,), one figure a pair, NaN where it cannot be told (no face)."""

    facts: MetricFacts

    def __call__(self, results: r.Frames, references: r.Frames) -> torch.Tensor: ...


class SetMetric(Protocol):
    """Compares two sets of images: features (N, D) of any number of images at a time, then one distance of the two sets."""

    facts: MetricFacts

    def features(self, frames: r.Frames) -> torch.Tensor: ...
    def distance(self, results: torch.Tensor, references: torch.Tensor) -> float: ...
