"""Typed, checked records: the only things components exchange."""

from mmfa_components.records.base import Record, tensor
from mmfa_components.records.dataset import FaceFrames
from mmfa_components.records.laws import ADDED, HELD, LINEAR, MULTIPLIED, TURNED, Law
from mmfa_components.records.liveportrait import LivePortraitTemplate
from mmfa_components.records.motion import (
    Affine,
    Appearance,
    CanonicalKeypoints,
    Deformation,
    Expression,
    Identity,
    Keypoints,
    Latent,
    Motion,
    RegionalMotion,
)
from mmfa_components.records.motion_kind import HEAD, Curve, MotionKind, Panel, Term, motion_kind_of
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
from mmfa_components.records.view import View, Viewed

__all__ = [
    "ADDED",
    "HEAD",
    "HELD",
    "LINEAR",
    "MULTIPLIED",
    "TURNED",
    "Affine",
    "Appearance",
    "CanonicalKeypoints",
    "ContourLandmarks",
    "Curve",
    "Deformation",
    "DenseMotion",
    "Expression",
    "FaceDetections",
    "FaceFrames",
    "FaceRegions",
    "FaceTrack",
    "Frames",
    "Identity",
    "Keypoints",
    "Landmarks",
    "Latent",
    "Law",
    "LivePortraitTemplate",
    "MeshLandmarks",
    "Motion",
    "MotionKind",
    "Panel",
    "Record",
    "RegionalMotion",
    "Rendering",
    "Rotation",
    "Scores",
    "Term",
    "Timestamps",
    "View",
    "Viewed",
    "motion_kind_of",
    "tensor",
]  # fmt: skip
