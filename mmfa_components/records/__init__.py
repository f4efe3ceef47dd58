"""Typed, checked records: the only things components exchange."""

from mmfa_components.records.base import Record, tensor
from mmfa_components.records.dataset import FaceFrames
from mmfa_components.records.liveportrait import LivePortraitTemplate
from mmfa_components.records.motion import (
    Affine,
    Appearance,
    CanonicalKeypoints,
    Deformation,
    Expression,
    Identity,
    KeypointRegions,
    Keypoints,
    Latent,
    Motion,
    RegionalMotion,
)
from mmfa_components.records.perception import (
    ContourLandmarks,
    FaceDetections,
    FaceRegions,
    FaceTrack,
    Frames,
    Landmarks,
    MeshLandmarks,
    Rotation,
)
from mmfa_components.records.synthesis import DenseMotion, Rendering, Scores
from mmfa_components.records.timing import Timestamps

__all__ = [
    "Affine", "Appearance", "CanonicalKeypoints", "ContourLandmarks", "Deformation", "DenseMotion", "Expression", "FaceDetections",
    "FaceFrames", "FaceRegions", "FaceTrack", "Frames", "Identity", "KeypointRegions", "Keypoints", "Landmarks", "Latent",
    "LivePortraitTemplate", "MeshLandmarks",
    "Motion", "Record", "RegionalMotion", "Rendering", "Rotation", "Scores", "Timestamps", "tensor",
]  # fmt: skip
