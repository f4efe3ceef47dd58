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

Records = tuple[type[r.Record], ...]


@attrs.frozen
class KindSpec:
    """A kind of component, registered through the hook ``mmfa_kinds``; ours are in :data:`KINDS`.

    name: as pipeline files and specs call it.  summary: one line for people.
    called_with: records that the objects of this kind are called with, of landmarks those that the landmark detector in use gives;
        None: not checked.  gives: records every component of this kind has to give.
    """

    name: str
    summary: str
    called_with: Records | None = None
    gives: Records = ()


KINDS: tuple[KindSpec, ...] = (
    KindSpec("face_detector", "finds all faces of an image", (r.Frames,), (r.FaceDetections,)),
    KindSpec("landmark_detector", "face-mesh points inside a face region", (r.Frames, r.FaceRegions), (r.Landmarks,)),
    KindSpec("rotation_estimator", "head rotation as a 3x3 matrix", (r.Frames, r.Landmarks), (r.Rotation,)),
    KindSpec("keypoint_detector", "canonical keypoints of a portrait (x_c)", (r.Frames,), (r.CanonicalKeypoints,)),
    KindSpec("affine_estimator", "scale s > 0 and translation t", (r.Frames,), (r.Affine,)),
    KindSpec(
        "expression_codec",
        "expression feature e of an image; deformation delta of keypoints from e",
        (r.Frames, r.Landmarks, r.Expression, r.CanonicalKeypoints, r.Rotation),
        (r.Expression, r.Deformation),
    ),
    KindSpec("expression_vae", "Gaussian latent space of expression features", (r.Expression,), (r.Latent,)),
    KindSpec("appearance_extractor", "appearance volume of a portrait", (r.Frames,), (r.Appearance,)),
    KindSpec("dense_motion", "dense flow and occlusion from sparse keypoints", (r.Appearance, r.Keypoints), (r.DenseMotion,)),
    KindSpec("generator", "images from the warped appearance", (r.Appearance, r.DenseMotion), (r.Rendering,)),
    KindSpec("discriminator", "real/fake scores for adversarial training"),
    KindSpec("animator", "portrait -> identity, frames -> motion, (identity, motion) -> frames", (r.Frames, r.Landmarks), (r.Frames,)),
    KindSpec("metric", "a figure that compares results with references"),
    KindSpec("recipe", "how an animator's networks are trained; it has the animator's name"),
    KindSpec("vae_recipe", "how an animator's latent space of expressions is trained"),
)
"""Our kinds. A plugin may add kinds of its own, for the parts of its animator."""


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

    kind: name of a KindSpec.  name: unique in its kind.  factory: ``factory(options, context) -> component``.
    options: attrs class of its options, every field with a default.  needs / gives: record classes the component takes and
    returns, in call order.  version: raised whenever its results change (part of the cache key).
    weights: names of the WeightsFile entries it loads with default options.  summary: one line for ``plugins list``.
    motion: what an animator's motion is; HEAD where it gives a Motion and says nothing else.
    default: taken where a pipeline names none of this kind; one component a kind.
    presets: of a system, by name; the option ``preset`` of its components chooses one.
    size_table: preset name -> parameters and operations of the system's networks, for ``plugins sizes``.
    check: ``check(options)`` raises what the factory would raise for a package or file that is not there, without building anything.
    """

    kind: str
    name: str
    factory: Callable[[Any, Context], Any]
    needs: Records = ()
    gives: Records = ()
    options: type[Any] = NoOptions
    version: str = "1"
    weights: tuple[str, ...] = ()
    summary: str = ""
    motion: r.MotionKind | None = attrs.field()
    default: bool = False
    presets: Mapping[str, Preset] = attrs.field(factory=dict, eq=False)
    size_table: Callable[[str], Sequence[SizeRow]] | None = None
    check: Callable[[Any], None] | None = None

    @motion.default
    def _head(self) -> r.MotionKind | None:
        heads = any(isinstance(g, type) and issubclass(g, r.Motion) for g in self.gives)
        return r.HEAD if self.kind == "animator" and heads else None


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
    """A whole system. ``crop_size`` is the side of the square crops it works on. Its spec says what its motion is.

    What an identity holds is its own affair: a framewise record with N = 1 for a portrait.
    """

    crop_size: int

    def encode(self, crops: r.Frames, landmarks: r.Landmarks) -> r.Record:
        """Identities of N crops; landmarks in pixels of the crops."""
        ...

    def decompose(self, crops: r.Frames, landmarks: r.Landmarks) -> r.Record:
        """Motion of N crops, as the record of its MotionKind; landmarks in pixels of the crops."""
        ...

    def render(self, identity: Any, source: Any, driving: Any) -> r.Frames:
        """Frames of an identity moved from its own motion ``source`` to ``driving``.

        identity, source: N = 1 or N = frames.  driving: N = frames; for an animator whose motion is a Motion perhaps a RegionalMotion.
        """
        ...


@runtime_checkable
class OwnTransfer(Protocol):
    """What an animator may do besides: transfer of motion by its own rule instead of the laws of its fields."""

    def transfer(self, source: Any, driving: Any, reference: Any, modes: Mapping[str, Any]) -> r.Record:
        """The motion of the result, as ``geometry.transfer.transfer_motion`` gives it; records on the CPU, float32."""
        ...


@runtime_checkable
class RegionalAnimator(Protocol):
    """What an animator may do besides: eyes and mouth moved apart from the rest of the face, for a driving RegionalMotion."""

    def knows_regions(self, landmarks: type[r.Landmarks]) -> bool:
        """Whether its identities know which keypoints belong to eyes and mouth when they are encoded with such landmarks."""
        ...


@runtime_checkable
class NeutralAnimator(Protocol):
    """What an animator may do besides: show the canonical face, without any deformation by expression (paper Fig. 7)."""

    def render_neutral(self, identity: Any, source: Any, driving: Any) -> r.Frames:
        """As ``render``, but the keypoints are those of the canonical face in the pose of ``driving``; its expression does not count."""
        ...


@runtime_checkable
class ViewAnimator(Protocol):
    """What an animator may do besides: hold parts of a portrait still, and show its own pixels at larger sides.

    It moves the portrait by a flow, which ``geometry.holding`` brings to rest where that is wanted. ``largest_side``: of the
    frames it can make; ``crop_size`` when only parts are held still, 0 when it can do neither as it is built.
    """

    largest_side: int

    def render_view(self, identity: Any, source: Any, driving: Any, view: r.View) -> r.Viewed:
        """As ``render``, at the side S of ``view``, a View of the portrait with N = 1 or N = frames; how still each place is."""
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


class Metric(Protocol):
    """Compares pairs of images: (N,), one figure a pair, NaN where it cannot be told (no face)."""

    facts: MetricFacts

    def __call__(self, results: r.Frames, references: r.Frames) -> torch.Tensor: ...


class SetMetric(Protocol):
    """Compares two sets of images: features (N, D) of any number of images at a time, then one distance of the two sets."""

    facts: MetricFacts

    def features(self, frames: r.Frames) -> torch.Tensor: ...
    def distance(self, results: torch.Tensor, references: torch.Tensor) -> float: ...
