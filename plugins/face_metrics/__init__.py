"""Metrics of faces: AKD (landmarks), AED (identity), APD (pose), with the paper's backbones as options that load a user's files.

The defaults need no file that is not shipped, except AED's (``mmfa plugins fetch sface``); they stand in for the paper's backbones,
and every table says so. A backbone is what the options say and nothing else: a missing file is an error, never another backbone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from attrs.validators import in_

from mmfa_components import records as r
from mmfa_components.hookspecs import hookimpl
from mmfa_components.kinds import ComponentSpec, Context
from mmfa_components.perception.faces import FaceReader

if TYPE_CHECKING:
    from plugins.face_metrics.akd import AverageKeypointDistance
    from plugins.face_metrics.apd import AveragePoseDistance
    from plugins.face_metrics.identity import AverageEuclideanDistance


@attrs.frozen
class AkdOptions:
    """Options of AKD.

    landmark_detector: "facemesh" (68 of its 478 points; stands in), "face_alignment" (the paper's 2DFAN4, your file), or any other that
    gives 68 or 478 points.  landmark_options: its options, such as weights = "2DFAN4-11f355bf06.pth.tar".  face_detector: finds the face.
    """

    landmark_detector: str = "facemesh"
    landmark_options: dict[str, Any] = attrs.field(factory=dict)
    face_detector: str = "facemesh"


@attrs.frozen
class AedOptions:
    """Options of AED. backbone: "sface" (fetched; stands in) or "openface" (the paper's nn4.small2).  weights: your openface.pth."""

    backbone: str = attrs.field(default="sface", validator=in_(("sface", "openface")))
    weights: str = ""


@attrs.frozen
class ApdOptions:
    """Options of APD. backbone: "facemesh" (canonical face fitted to 478 points; stands in) or "deep3d" (the paper's ResNet-50).

    weights: your epoch_20.pth of Deep3DFaceRecon_pytorch.  face_detector, landmark_detector: find the face; mesh landmarks are needed.
    """

    backbone: str = attrs.field(default="facemesh", validator=in_(("facemesh", "deep3d")))
    weights: str = ""
    face_detector: str = "facemesh"
    landmark_detector: str = "facemesh"


def _reader(face_detector: str, landmark_detector: str, options: dict[str, Any], context: Context) -> FaceReader:
    faces = context.build("face_detector", face_detector, None)
    return FaceReader(faces, context.build("landmark_detector", landmark_detector, options))


def _akd(options: AkdOptions, context: Context) -> AverageKeypointDistance:
    from plugins.face_metrics.akd import AverageKeypointDistance

    reader = _reader(options.face_detector, options.landmark_detector, options.landmark_options, context)
    return AverageKeypointDistance(reader, options.landmark_detector)


def _aed(options: AedOptions, context: Context) -> AverageEuclideanDistance:
    from plugins.face_metrics.identity import make_aed

    return make_aed(options.backbone, options.weights, context)


def _apd(options: ApdOptions, context: Context) -> AveragePoseDistance:
    from plugins.face_metrics.apd import make_apd

    reader = _reader(options.face_detector, options.landmark_detector, {}, context)
    return make_apd(options.backbone, options.weights, reader, context)


@hookimpl
def mmfa_components() -> list[ComponentSpec]:
    """Three metrics; what they give is a tensor (N,), not a record."""
    pair = (r.Frames, r.Frames)
    mesh = ("facemesh_detector", "facemesh_landmarks")
    akd = "mean absolute difference of 68 landmarks in pixels at 256; face mesh, or 2DFAN4 with your file"
    aed = "squared distance of identity embeddings; SFace, or OpenFace nn4.small2 with your file"
    apd = "mean absolute difference of pose coefficients; face mesh, or Deep3D with your file"
    return [
        ComponentSpec("metric", "akd", _akd, pair, options=AkdOptions, weights=mesh, summary=akd),
        ComponentSpec("metric", "aed", _aed, pair, options=AedOptions, weights=("sface", *mesh), summary=aed),
        ComponentSpec("metric", "apd", _apd, pair, options=ApdOptions, weights=(*mesh, "facemesh_geometry"), summary=apd),
    ]
