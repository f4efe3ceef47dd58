"""All metrics of one scene."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import torch
from torch import Tensor

from mmfa_components.geometry.openings import openings
from mmfa_components.perception.contour import contour_points
from mmfa_components.perception.faces import FaceReader
from mmfa_components.perception.pose import MeshPose
from mmfa_components.records import Frames
from pipelines.evaluation.scenes import SIDE, Scene
from pipelines.evaluation.schema import split_label

BATCH = 8
OPENINGS = "openings"
"""Name of what ``openings_of`` gives among the figures of a scene."""


@attrs.frozen
class Instruments:
    """What measures, on one device. metrics: by name.  read: faces of images.  pose: head pose (N, 6).  device: where they live."""

    metrics: Mapping[str, Any]
    read: FaceReader
    pose: MeshPose
    device: torch.device

    @property
    def csim(self) -> Any | None:
        """The metric of identity, when it is among the metrics, whatever its label."""
        return next((metric for name, metric in self.metrics.items() if split_label(name)[0] == "csim"), None)


def is_set(metric: Any) -> bool:
    """True for metrics that compare sets of images."""
    return hasattr(metric, "distance")


def in_protocol(metric: Any, protocol: str) -> bool:
    """Whether a metric is measured in a protocol."""
    return protocol == "same" or bool(metric.facts.cross)


@torch.inference_mode()
def measure_scene(instruments: Instruments, scene: Scene, protocol: str) -> dict[str, Tensor]:
    """The figures of one scene by name: ``value/NAME`` (N,) of pair metrics, ``results/NAME`` and ``references/NAME`` (N, D) features of
    set metrics, ``face`` and ``reference_face`` (N,) whether results and driving frames show one (bool), ``openings`` (N, 2, 2) of openings_of.
    """
    parts: dict[str, list[Tensor]] = {}
    for start in range(0, len(scene.results), BATCH):
        results, driving = (Frames(t[start : start + BATCH].to(instruments.device)) for t in (scene.results, scene.driving))
        source = Frames(scene.source.to(instruments.device).expand_as(results.rgb))
        for name, metric in instruments.metrics.items():
            if not in_protocol(metric, protocol):
                continue
            reference = source if protocol == "cross" and metric.facts.cross == "source" else driving
            if is_set(metric):
                parts.setdefault(f"results/{name}", []).append(metric.features(results))
                if reference is driving or start == 0:
                    kept = reference if reference is driving else Frames(source.rgb[:1])
                    parts.setdefault(f"references/{name}", []).append(metric.features(kept))
            else:
                parts.setdefault(f"value/{name}", []).append(metric(results, reference))
        seen, wanted = instruments.read(results), instruments.read(driving)
        parts.setdefault("face", []).append(seen[1])
        parts.setdefault("reference_face", []).append(wanted[1])
        parts.setdefault(OPENINGS, []).append(openings_of(seen, wanted))
    return {name: torch.cat(values).cpu() for name, values in parts.items()}


def openings_of(results: tuple[Tensor, Tensor], driving: tuple[Tensor, Tensor]) -> Tensor:
    """What FaceReader gives of N results and N driving frames -> (N, 2, 2): mouth and eyes, each of result and driving frame; NaN where either
    shows no face.
    """
    sides = [openings(points) if points.shape[1] else points.new_full((len(points), 2), torch.nan) for points, _ in (results, driving)]
    together = torch.stack(sides, -1)
    return together.masked_fill(~(results[1] & driving[1])[:, None, None], torch.nan)


@torch.inference_mode()
def measure_motion(instruments: Instruments, rgb: Tensor) -> dict[str, Tensor]:
    """``contour`` (N, 68, 2) in pixels at 256, ``pose`` (N, 6) as MeshPose gives it, both NaN where no face is seen."""
    contours, poses = [], []
    for part in rgb.split(BATCH):
        points, found = instruments.read(Frames(part.to(instruments.device)))
        poses.append(instruments.pose.of_points(points, found, part.shape[-1]).cpu())
        flat = points.new_full((len(found), 68, 2), torch.nan)
        if bool(found.any()):
            flat[found] = contour_points(points[found])[..., :2]
        contours.append(flat.cpu() * (SIDE / part.shape[-1]))
    return {"contour": torch.cat(contours), "pose": torch.cat(poses)}
