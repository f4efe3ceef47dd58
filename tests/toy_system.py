"""A registry of components that only have to be named, not run: for checks of pipeline files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import torch
from safetensors.torch import save_file

from mmfa_components import records as r
from mmfa_components.kinds import ComponentSpec
from mmfa_components.records import Record
from mmfa_components.registry import Plugin, Registry
from mmfa_components.weights import WeightsFile


@attrs.frozen
class Deep:
    """Nested options."""

    width: int = attrs.field(default=3, validator=attrs.validators.gt(0))


@attrs.frozen
class RotationOptions:
    """Options of the rotation estimator."""

    keep: float = 0.5
    deep: Deep = attrs.field(factory=Deep)


@attrs.frozen
class AnimatorOptions:
    """A composed animator's options."""

    rotation_estimator: str = "toy"
    affine_estimator: str = "toy"
    parts: dict[str, dict[str, Any]] = attrs.field(factory=dict)


def nothing(options: Any, context: Any) -> None:
    """A factory that must never be called by checks."""
    raise AssertionError("checks build nothing")


def toy_registry(folder: Path) -> Registry:
    """face_detector, landmark_detector, animator "toy", parts, misfits, weights "toy_weights" in ``folder``, and a broken plugin."""
    weights = folder / "toy.safetensors"
    save_file({"a": torch.zeros(1)}, weights, {"architecture": "toy/1"})
    frames, landmarks, mesh = (r.Frames,), (r.Landmarks,), (r.MeshLandmarks,)
    components = (
        ComponentSpec("face_detector", "facemesh", nothing, frames, (r.FaceDetections,), default=True),
        ComponentSpec("face_detector", "blind", nothing, frames, (r.FaceRegions,)),
        ComponentSpec("landmark_detector", "facemesh", nothing, (r.Frames, r.FaceRegions), mesh, default=True),
        ComponentSpec("landmark_detector", "contour", nothing, (r.Frames, r.FaceRegions), (r.ContourLandmarks,)),
        ComponentSpec("landmark_detector", "hungry", nothing, (r.Frames, r.Motion), landmarks),
        ComponentSpec("animator", "toy", nothing, (r.Frames, r.Landmarks), (r.Identity, r.Motion, r.Frames), AnimatorOptions, "3", ("toy_weights",)),
        ComponentSpec("animator", "still", nothing, frames, (r.Identity,)),
        ComponentSpec("rotation_estimator", "toy", nothing, landmarks, (r.Rotation,), RotationOptions),
        ComponentSpec("rotation_estimator", "by_mesh", nothing, mesh, (r.Rotation,)),
        ComponentSpec("rotation_estimator", "late", nothing, (r.Motion,), (r.Rotation,)),
        ComponentSpec("affine_estimator", "toy", nothing, frames, (r.Affine,)),
        ComponentSpec("affine_estimator", "by_landmarks", nothing, landmarks, (r.Affine,)),
    )
    registry = Registry(records={n: c for n, c in vars(r).items() if isinstance(c, type) and issubclass(c, Record)})
    file = WeightsFile("toy_weights", weights, "toy/1")
    registry.add(Plugin("toy", "toys", "1.0", "toys", components, (file,)))
    registry.add(Plugin("shattered", "shards", "0.1", "shards", error="Traceback ...\nImportError: no such thing"))
    return registry
