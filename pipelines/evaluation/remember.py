"""Metrics built so that they share what they look at: every face is detected, meshed and embedded once, whoever asks."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import torch
from torch import Tensor

from mmfa_components.errors import PluginError
from mmfa_components.kinds import Context, MetricFacts
from mmfa_components.records import FaceDetections, FaceRegions, Frames, Landmarks
from mmfa_components.registry import Registry, make_options
from pipelines.evaluation.schema import split_label

KEPT = 4096
"""Results that are remembered of each network; one is a few kilobytes."""


class PerImage:
    """Remembers the result of every image by its content, so that a network sees only those that are new. The oldest are forgotten.

    compute: rows of the images that are new -> one result each.
    """

    def __init__(self) -> None:
        self.known: OrderedDict[str, Any] = OrderedDict()

    def __call__(self, keys: list[str], compute: Callable[[list[int]], list[Any]]) -> list[Any]:
        """The results of images by their keys."""
        missing = [row for row, key in enumerate(keys) if key not in self.known]
        firsts = list({keys[row]: row for row in reversed(missing)}.values())[::-1]
        for row, result in zip(firsts, compute(firsts) if firsts else [], strict=True):
            self.known[keys[row]] = result
        for key in dict.fromkeys(keys):
            self.known.move_to_end(key)
        results = [self.known[key] for key in keys]
        while len(self.known) > KEPT:
            self.known.popitem(last=False)
        return results


def content_keys(*tensors: Tensor) -> list[str]:
    """One key for each row of tensors of as many rows."""
    rows = [t.detach().to("cpu").contiguous() for t in tensors]
    return [
        hashlib.blake2b(b"".join(t[i].numpy().tobytes() for t in rows), digest_size=16).hexdigest() + str([tuple(t.shape[1:]) for t in rows])
        for i in range(len(rows[0]))
    ]


class RememberingDetector:
    """A face detector that looks at every image once."""

    def __init__(self, detector: Any) -> None:
        self.detector, self.memory = detector, PerImage()

    def __call__(self, frames: Frames) -> FaceDetections:
        """Detect the faces of each image."""

        def compute(rows: list[int]) -> list[FaceDetections]:
            found = self.detector(frames[rows])
            return [found.map(lambda t, mine=found.image == i: t[mine]) for i in range(len(rows))]

        parts = self.memory(content_keys(frames.rgb), compute)
        if not parts:
            nothing: FaceDetections = self.detector(frames)
            return nothing
        image = torch.cat([torch.full_like(part.image, i) for i, part in enumerate(parts)])
        boxes, scores, points = (torch.cat([getattr(part, name) for part in parts]) for name in ("boxes", "scores", "points"))
        return FaceDetections(image, boxes, scores, points)


class RememberingLandmarks:
    """A landmark detector that looks at every region once."""

    def __init__(self, detector: Any) -> None:
        self.detector, self.memory = detector, PerImage()

    def __call__(self, frames: Frames, regions: FaceRegions) -> Landmarks:
        """Find the landmarks of each region."""

        def compute(rows: list[int]) -> list[Landmarks]:
            found = self.detector(frames[rows], regions[rows])
            return [found[i : i + 1] for i in range(len(rows))]

        parts = self.memory(content_keys(frames.rgb, regions.squares), compute)
        if not parts:
            nothing: Landmarks = self.detector(frames, regions)
            return nothing
        joined: Landmarks = type(parts[0]).concatenate(parts)
        return joined


class RememberingEmbeddings:
    """Identity embeddings (vectors, found) that are computed once for each image."""

    def __init__(self, embeddings: Callable[[Frames], tuple[Tensor, Tensor]]) -> None:
        self.embeddings, self.memory = embeddings, PerImage()

    def __call__(self, frames: Frames) -> tuple[Tensor, Tensor]:
        """Embed each image."""

        def compute(rows: list[int]) -> list[tuple[Tensor, Tensor]]:
            vectors, found = self.embeddings(frames[rows])
            return list(zip(vectors, found, strict=True))

        rows = self.memory(content_keys(frames.rgb), compute)
        return torch.stack([v for v, _ in rows]), torch.stack([f for _, f in rows])


def sharing(context: Context) -> Context:
    """A context that builds each component once; detectors, landmark networks and identity embeddings remember what they saw."""
    built: dict[str, Any] = {}

    def build(kind: str, name: str, options: Any) -> Any:
        filled = make_options(context.spec(kind, name), options, f"{kind}.{name}")
        key = f"{kind}/{name}/{filled!r}"
        if key not in built:
            component = context.spec(kind, name).factory(filled, shared)
            if kind == "face_detector":
                component = RememberingDetector(component)
            elif kind == "landmark_detector":
                component = RememberingLandmarks(component)
            elif hasattr(component, "embeddings"):
                component.embeddings = RememberingEmbeddings(component.embeddings)
            built[key] = component
        return built[key]

    shared = attrs.evolve(context, build=build)
    return shared


class Labelled:
    """A metric under a label of its own in the tables: the same component beside itself, with other options."""

    def __init__(self, metric: Any, label: str) -> None:
        self.metric = metric
        self.facts: MetricFacts = attrs.evolve(metric.facts, title=f"{metric.facts.title}, {label}")

    def __call__(self, results: Frames, references: Frames) -> Any:
        """As the metric."""
        return self.metric(results, references)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.metric, name)


def build_metrics(names: tuple[str, ...], options: Mapping[str, Mapping[str, Any]], registry: Registry, context: Context) -> dict[str, Any]:
    """The metrics by name, "METRIC" or "METRIC:LABEL", through a sharing context.

    Raises what their factories raise; PluginError for one without ``facts``.
    """
    made = {}
    for name in names:
        component, label = split_label(name)
        metric = context.build("metric", component, options.get(name, {}))
        if not isinstance(getattr(metric, "facts", None), MetricFacts):
            owner = registry.owners["metric", component].name
            fix = "give it an attribute facts: MetricFacts"
            raise PluginError("says nothing of itself for the tables", where=f"metric {component!r} of {owner}", fix=fix)
        made[name] = Labelled(metric, label) if label else metric
    return made
