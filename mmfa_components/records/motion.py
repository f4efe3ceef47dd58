"""Records of motion and identity: what eq. 4 and 5 decompose a face into."""

from __future__ import annotations

import attrs
from torch import Tensor

from mmfa_components.records.base import Record, tensor
from mmfa_components.records.laws import LINEAR, MULTIPLIED, TURNED


@attrs.frozen(eq=False)
class CanonicalKeypoints(Record):
    """Identity in space: K points of the neutral, frontal face (x_c).

    points: (N, K, 3) float, about [-1, 1]; axes x right, y down, z towards the viewer.
    """

    points: Tensor = tensor("N", "K", 3)


@attrs.frozen(eq=False)
class Affine(Record):
    """Scale and translation of scaled orthographic projection (eq. 5: s, t).

    scale: (N,) float > 0.  translation: (N, 3) float in units of half the crop's side (z is unused by the projection).
    """

    scale: Tensor = tensor("N", law=MULTIPLIED)
    translation: Tensor = tensor("N", 3)


@attrs.frozen(eq=False)
class Expression(Record):
    """Expression feature (eq. 4: e).

    feature: (N, E) float.
    """

    feature: Tensor = tensor("N", "E")


@attrs.frozen(eq=False)
class Deformation(Record):
    """Expression deformation of the canonical keypoints (eq. 4: delta).

    delta: (N, K, 3) float, in the canonical frame, before rotation and scale.
    """

    delta: Tensor = tensor("N", "K", 3)


@attrs.frozen(eq=False)
class Keypoints(Record):
    """Posed keypoints (eq. 5: x = s R (x_c + delta) + t).

    points: (N, K, 3) float, about [-1, 1].  frame: (N, 3, 3) float, s R: the linear part that all points share (eq. 1: J).
    """

    points: Tensor = tensor("N", "K", 3)
    frame: Tensor = tensor("N", 3, 3, law=LINEAR)


@attrs.frozen(eq=False)
class Motion(Record):
    """Motion free of identity, one row a frame: what the cache keeps, what edits change, what one portrait lends another.

    rotation: (N, 3, 3) float in SO(3).  scale: (N,) float > 0.  translation: (N, 3) float.  expression: (N, E) float.
    """

    rotation: Tensor = tensor("N", 3, 3, law=TURNED)
    scale: Tensor = tensor("N", law=MULTIPLIED)
    translation: Tensor = tensor("N", 3)
    expression: Tensor = tensor("N", "E")


@attrs.frozen(eq=False)
class RegionalMotion(Motion):
    """Motion whose eyes and mouth have expressions of their own; ``expression`` is that of the rest of the face.

    rotation, scale, translation, expression: as in Motion.  eyes: (N, E) float.  mouth: (N, E) float.
    """

    eyes: Tensor = tensor("N", "E")
    mouth: Tensor = tensor("N", "E")


@attrs.frozen(eq=False)
class Latent(Record):
    """Gaussian posterior of the expression VAE (eq. 10).

    mean: (N, Z) float.  log_variance: (N, Z) float.
    """

    mean: Tensor = tensor("N", "Z")
    log_variance: Tensor = tensor("N", "Z")


@attrs.frozen(eq=False)
class Appearance(Record):
    """Appearance of a portrait.

    volume: (N, C, D, H, W) float, features (f_s).  image: (N, 3, S, S) float in [0, 1], the portrait itself.
    """

    volume: Tensor = tensor("N", "C", "D", "H", "W")
    image: Tensor = tensor("N", 3, "S", "S")


@attrs.frozen(eq=False)
class Identity(Record):
    """All that is kept of a portrait: computed once, used for every driven frame.

    canonical: (N, K, 3) float, canonical keypoints.  volume, image: its appearance, (N, C, D, H, W) float and (N, 3, S, S) float in
    [0, 1].  eyes, mouth: (N, K) float in [0, 1], how far each keypoint belongs to the eyes (with brows) and to the mouth; what is left
    of 1 is the rest of the face.  N is 1 for a portrait and the number of frames for a video used as source.
    """

    canonical: Tensor = tensor("N", "K", 3)
    volume: Tensor = tensor("N", "C", "D", "H", "W")
    image: Tensor = tensor("N", 3, "S", "S")
    eyes: Tensor = tensor("N", "K")
    mouth: Tensor = tensor("N", "K")
