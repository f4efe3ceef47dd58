"""Records of perception: images, faces, landmarks, rotation, and the track of one face through a clip."""

from __future__ import annotations

import attrs
from torch import Tensor

from mmfa_components.records.base import Record, tensor
from mmfa_components.records.laws import TURNED


@attrs.frozen(eq=False)
class Frames(Record):
    """RGB images.

    rgb: (N, 3, H, W) float in [0, 1].
    """

    rgb: Tensor = tensor("N", 3, "H", "W")


@attrs.frozen(eq=False)
class FaceDetections(Record):
    """All faces found in N images, flat: M faces in any order of images, best score first within one image.

    image: (M,) int, index of the image each face was found in.
    boxes: (M, 4) float, x0, y0, x1, y1 in pixels of that image.
    scores: (M,) float in [0, 1].
    points: (M, 6, 2) float, right eye, left eye, nose tip, mouth, right ear, left ear, in pixels (the person's right).
    """

    image: Tensor = tensor("M", dtype="int")
    boxes: Tensor = tensor("M", 4)
    scores: Tensor = tensor("M")
    points: Tensor = tensor("M", 6, 2)


@attrs.frozen(eq=False)
class FaceRegions(Record):
    """One rotated square per image, the region a landmark network looks at.

    squares: (N, 4) float: centre x, centre y, side in pixels, and clockwise angle in radians (y points down).
    """

    squares: Tensor = tensor("N", 4)


@attrs.frozen(eq=False)
class Landmarks(Record):
    """The landmarks of one face per image; which points they are is what the subclasses say.

    points: (N, P, 3) float, x and y in pixels of the image, z in the same unit, smaller = nearer to the camera.
    presence: (N,) float in [0, 1], the probability that a face is there.
    """

    points: Tensor = tensor("N", "P", 3)
    presence: Tensor = tensor("N")


@attrs.frozen(eq=False)
class MeshLandmarks(Landmarks):
    """The 478 face-mesh points: 468 of the skin, then 5 of each iris.

    points: (N, 478, 3) float, as in Landmarks.
    presence: (N,) float in [0, 1].
    """

    points: Tensor = tensor("N", 478, 3)
    presence: Tensor = tensor("N")


@attrs.frozen(eq=False)
class ContourLandmarks(Landmarks):
    """The 68 points of the iBUG 300-W annotation: jaw, brows, nose, eyes, lips; nothing above the brows.

    points: (N, 68, 3) float, as in Landmarks; z may be 0.
    presence: (N,) float in [0, 1].
    """

    points: Tensor = tensor("N", 68, 3)
    presence: Tensor = tensor("N")


@attrs.frozen(eq=False)
class Rotation(Record):
    """Head rotation (paper eq. 3, 5: R).

    matrix: (N, 3, 3) float, in SO(3); maps the canonical (frontal) frame to the posed one. Axes: x right, y down, z towards
    the viewer, so R is the identity for a frontal upright face.
    """

    matrix: Tensor = tensor("N", 3, 3, law=TURNED)


@attrs.frozen(eq=False)
class FaceTrack(Record):
    """One face followed through a clip; gaps are bridged (points interpolated) and marked.

    A shot is what one camera shows without a break. Nothing is interpolated from one shot or one person to the next.

    found: (N,) bool, True where the face was seen in that frame, False where it was bridged or never seen.
    usable: (N,) bool, True where ``points`` holds a seen or bridged face; False inside gaps too long to bridge.
    points: (N, P, 3) float, landmarks in pixels of the full frame, as in Landmarks.
    presence: (N,) float in [0, 1].
    crop: (N, 4) float, the crop square per frame as in FaceRegions (the same row N times for the one stable crop of a clip).
    shot: (N,) int, number of the shot, from 0 on.
    person: (N,) int, number of the person who is followed, in the order of appearance; 0 is the one selected.
    """

    found: Tensor = tensor("N", dtype="bool")
    usable: Tensor = tensor("N", dtype="bool")
    points: Tensor = tensor("N", "P", 3)
    presence: Tensor = tensor("N")
    crop: Tensor = tensor("N", 4)
    shot: Tensor = tensor("N", dtype="int")
    person: Tensor = tensor("N", dtype="int")
