"""The components a reenactment needs, built once, and the plain facts about them that cache keys and reports use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import torch

from mmfa_components import kinds
from mmfa_components.errors import ConfigError
from mmfa_components.kinds import Context, RegionalAnimator, ViewAnimator
from mmfa_components.records import Landmarks, MotionKind
from mmfa_components.registry import Registry, make_options
from mmfa_components.weights import WeightsCatalogue, file_digest
from pipelines.config.schema import Face, Part, Pipeline
from pipelines.media import encoder_facts

ROOMY = 15 * 2**30
"""Bytes of GPU memory from which on the larger batch is the default."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@attrs.frozen
class Facts:
    """What is known of the built components, plain data that can travel to other processes.

    detector, landmarks, animator: fingerprints (kind, name, version, options, weights digests, parts).  crop_size: side of the
    animator's crops in pixels.  motion: what its motion is.  regional: eyes and mouth can move apart from the rest of the face, with this
    animator and these landmarks.  device, precision: where and in which dtype it runs.  encoders:
    versions of what encodes results.  largest_side: of the frames it can make of the portrait's own
    pixels (kinds.ViewAnimator), 0 for an animator that has no such frames.
    """

    detector: Mapping[str, Any]
    landmarks: Mapping[str, Any]
    animator: Mapping[str, Any]
    crop_size: int
    motion: MotionKind
    device: str
    precision: str
    regional: bool = False
    encoders: str = ""
    largest_side: int = 0

    def all(self) -> tuple[Mapping[str, Any], ...]:
        """The three fingerprints."""
        return self.detector, self.landmarks, self.animator


@attrs.frozen
class FaceFinder:
    """What finding and following a face takes, on one device."""

    detector: kinds.FaceDetector
    landmarks: kinds.LandmarkDetector
    device: torch.device


@attrs.frozen
class Components(FaceFinder):
    """All that a reenactment takes, built on one device."""

    animator: kinds.Animator
    facts: Facts


@attrs.frozen
class _Recorder(WeightsCatalogue):
    """A catalogue that notes the digests of the files that are read from it."""

    used: dict[str, str] = attrs.field(factory=dict)

    def read(self, name: str) -> dict[str, torch.Tensor]:
        tensors = super().read(name)
        self.used[name] = self.digest(name)
        return tensors


def resolve_device(device: str) -> torch.device:
    """The device an engine option names. Raises ConfigError when it is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"no device is called {device!r}", where="engine.device", fix='use "auto", "cpu", "cuda" or "cuda:1"') from error
    if chosen.type not in ("cpu", "cuda"):
        what = f"MMFA computes on CPUs and on CUDA devices, not on {device!r}"
        raise ConfigError(what, where="engine.device", fix='use "auto", "cpu" or "cuda"')
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"this machine has no device {device!r}", where="engine.device", fix='use "auto" or "cpu"')
    return chosen


def resolve_precision(precision: str, device: torch.device) -> str:
    """The dtype name behind "auto": bfloat16 on GPUs and on CPUs that compute in it, else float32."""
    if precision != "auto":
        return precision
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return "bfloat16" if device.type == "cuda" or native() else "float32"


def resolve_batch(batch: int, device: torch.device) -> int:
    """The batch behind 0: on a CPU large feature maps leave the caches, so 2 frames are faster than 8; a GPU wants more, 24 where it has room.

    24 frames take some 5 GiB in each worker with the networks shipped (preset base, 256 pixels), of which a card may have two.
    """
    if batch or device.type != "cuda":
        return batch or 2
    return 24 if torch.cuda.get_device_properties(device).total_memory >= ROOMY else 8


def build_components(pipeline: Pipeline, registry: Registry) -> Components:
    """Build the detector, the landmark network and the animator of a pipeline.

    Raises PluginError, ConfigError or WeightsError; ConfigError when the animator does not say what its motion is.
    """
    device = resolve_device(pipeline.engine.device)
    precision = resolve_precision(pipeline.engine.precision, device)
    overrides = {name: Path(path) for name, path in pipeline.weights.items()}
    base = registry.context(device, DTYPES[precision], overrides)

    finder, (detector_print, landmarks_print) = build_finder(pipeline.face, registry, base)
    animator, animator_print = build_described(registry, base, "animator", pipeline.animator, "animator")
    spec = registry.spec("animator", pipeline.animator.name)
    if spec.motion is None:
        fix = "give its ComponentSpec a MotionKind as motion"
        raise ConfigError("does not say what its motion is", where=f"animator {spec.name!r}", fix=fix)
    given = [g for g in registry.spec("landmark_detector", pipeline.face.landmarks.name).gives if issubclass(g, Landmarks)]
    regional = isinstance(animator, RegionalAnimator) and all(animator.knows_regions(g) for g in given)
    largest = int(animator.largest_side) if isinstance(animator, ViewAnimator) else 0
    facts = Facts(
        detector_print,
        landmarks_print,
        animator_print,
        int(animator.crop_size),
        spec.motion,
        str(device),
        precision,
        regional,
        encoder_facts()["encoders"],
        largest,
    )
    return Components(finder.detector, finder.landmarks, device, animator, facts)


def build_finder(face: Face, registry: Registry, context: Context) -> tuple[FaceFinder, tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The detector and the landmark network of a pipeline's face table, and their fingerprints. Raises PluginError or WeightsError."""
    detector, first = build_described(registry, context, "face_detector", part_with_score(face, registry), "face.detector")
    landmarks, second = build_described(registry, context, "landmark_detector", face.landmarks, "face.landmarks")
    return FaceFinder(detector, landmarks, torch.device(context.device)), (first, second)


def part_with_score(face: Face, registry: Registry) -> Part:
    """The detector part with ``face.min_score`` handed on when the detector has an option of that name and none is set."""
    part = face.detector
    options = registry.spec("face_detector", part.name, "face.detector").options
    if "min_score" in {f.name for f in attrs.fields(options)} and "min_score" not in part.options:
        return attrs.evolve(part, options={**part.options, "min_score": face.min_score})
    return part


def build_described(registry: Registry, base: Context, kind: str, part: Part, where: str) -> tuple[Any, Mapping[str, Any]]:
    """A component and its fingerprint: everything that decides its results, parts and weights included."""
    catalogue = _Recorder(base.weights.files, base.weights.overrides)
    parts: list[Mapping[str, Any]] = []

    def build_part(kind: str, name: str, options: Any) -> Any:
        parts.append(fingerprint(registry, kind, name, options))
        return registry.build(kind, name, options, context)

    context: Context = attrs.evolve(base, weights=catalogue, build=build_part)
    component = registry.build(kind, part.name, part.options, context, where)
    described = fingerprint(registry, kind, part.name, part.options)
    return component, {**described, "parts": parts, "weights": dict(sorted(catalogue.used.items()))}


def fingerprint(registry: Registry, kind: str, name: str, options: Any) -> dict[str, Any]:
    """What decides a component's results: kind, name, version, options; files that options name count by their content."""
    spec = registry.spec(kind, name)
    values = attrs.asdict(make_options(spec, options, f"{kind}.{spec.name}"))
    for key, value in values.items():
        if isinstance(value, str) and value and Path(value).is_file():  # its content counts, not where it lies
            values[key] = f"sha256:{file_digest(Path(value))}"
    return {"kind": kind, "name": spec.name, "version": spec.version, "options": values}
