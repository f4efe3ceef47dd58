"""MediaPipe's face detector and 478-point face mesh in plain torch, and head rotation from the points. See NOTICE.md for the licence."""

from __future__ import annotations

import json
from pathlib import Path

import attrs

from mmfa_components import records as r
from mmfa_components.hookspecs import hookimpl
from mmfa_components.kinds import ComponentSpec, Context, NoOptions
from mmfa_components.perception.detector import FaceDetector
from mmfa_components.perception.graph import GraphNetwork
from mmfa_components.perception.landmarks import LandmarkDetector, LandmarkRotation
from mmfa_components.weights import WeightsFile, metadata

HERE = Path(__file__).parent
LICENCE = "Apache-2.0 (Google MediaPipe)"
DIGESTS = (
    "90727b63cad1361e8881c1ec1741a35ef8bda99fa71d414e3530a7338892e026",  # detector
    "7d2cd3ef044ea483071570a56e7e9a8864361d0a2a306c8fa94b14252c1c0c17",  # landmarks
    "e0c2c0f1bfe703ea4c0e7101af9d4a46cb284f8e5d6177a53c9751ca0c9c44c9",  # geometry
)
ORIGIN = "face_landmarker.task (sha256 64184e22...), converted by python -m plugins.facemesh.convert"


@attrs.frozen
class DetectorOptions:
    """Options of the face detector.

    min_score: lowest score of a face, [0, 1].  tiled: look again in ever smaller
    overlapping tiles where a whole image shows no face for sure.
    """

    min_score: float = attrs.field(default=0.5, validator=[attrs.validators.ge(0.0), attrs.validators.le(1.0)])
    tiled: bool = True


@attrs.frozen
class LandmarkOptions:
    """Options of the landmark detector. refine: how often the region is taken anew from the points found."""

    refine: int = attrs.field(default=1, validator=attrs.validators.ge(0))


def _network(name: str, context: Context) -> GraphNetwork:
    program = json.loads(metadata(context.weights.path(name)).get("program", "{}"))
    tensors = context.weights.read(name)
    network = GraphNetwork(program["steps"], tensors, program["input"], program["outputs"])
    return network.eval().to(context.device)


def _detector(options: DetectorOptions, context: Context) -> FaceDetector:
    return FaceDetector(_network("facemesh_detector", context), options.min_score, options.tiled)


def _landmarks(options: LandmarkOptions, context: Context) -> LandmarkDetector:
    return LandmarkDetector(_network("facemesh_landmarks", context), options.refine)


def _rotation(options: NoOptions, context: Context) -> LandmarkRotation:
    tensors = context.weights.read("facemesh_geometry")
    return LandmarkRotation(tensors["canonical"].to(context.device), tensors["weights"].to(context.device))


@hookimpl
def mmfa_components() -> list[ComponentSpec]:
    """Face detector, landmark detector, rotation estimator."""
    return [
        ComponentSpec(
            "face_detector", "facemesh", _detector, (r.Frames,), (r.FaceDetections,), DetectorOptions, "2", ("facemesh_detector",),
            "BlazeFace, short range, tiles for small faces", default=True,
        ),
        ComponentSpec(
            "landmark_detector", "facemesh", _landmarks, (r.Frames, r.FaceRegions), (r.MeshLandmarks,), LandmarkOptions, "1",
            ("facemesh_landmarks",), "478 points with pupils, differentiable in the image", default=True,
        ),
        ComponentSpec(
            "rotation_estimator", "facemesh", _rotation, (r.MeshLandmarks,), (r.Rotation,), NoOptions, "1", ("facemesh_geometry",),
            "Procrustes fit of the canonical face to the 478 points", default=True,
        ),
    ]  # fmt: skip


@hookimpl
def mmfa_weights() -> list[WeightsFile]:
    """The converted models."""
    return [
        WeightsFile("facemesh_detector", HERE / "face_detector.safetensors", "facemesh-detector/1", DIGESTS[0], LICENCE, ORIGIN),
        WeightsFile("facemesh_landmarks", HERE / "face_landmarks.safetensors", "facemesh-landmarks/1", DIGESTS[1], LICENCE, ORIGIN),
        WeightsFile("facemesh_geometry", HERE / "face_geometry.safetensors", "facemesh-geometry/1", DIGESTS[2], LICENCE, ORIGIN),
    ]
