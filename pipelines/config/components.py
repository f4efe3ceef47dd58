"""Checks of the components a pipeline names: known, options valid, records fitting together, weights at hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import attrs

from mmfa_components import records as r
from mmfa_components.errors import MMFAError, PluginError, WeightsError, did_you_mean
from mmfa_components.kinds import ComponentSpec, Records
from mmfa_components.registry import Registry
from mmfa_components.weights import metadata
from pipelines.config.faults import Faults, Key, dotted
from pipelines.config.schema import KIND, Part, Pipeline
from pipelines.config.structuring import structure

S = TypeVar("S", bound=attrs.AttrsInstance)


@attrs.frozen
class Use:
    """One component in use. path: TOML path of its name's table.  stage: "face.detector", "animator", "animator/rotation_estimator"."""

    stage: str
    spec: ComponentSpec
    options: Any


def pipeline_parts(pipeline: Pipeline) -> list[tuple[str, tuple[Key, ...], Part]]:
    """The components a pipeline file names itself: kind, TOML path, part."""
    return [
        ("face_detector", ("face", "detector"), pipeline.face.detector),
        ("landmark_detector", ("face", "landmarks"), pipeline.face.landmarks),
        ("animator", ("animator",), pipeline.animator),
    ]


def motion_in_use(uses: Sequence[Use]) -> r.MotionKind | None:
    """What the motion of the animator among the components in use is; None when it is not known."""
    return next((use.spec.motion for use in uses if use.stage == "animator"), None)


def named_parts(settings: S, registry: Registry) -> S:
    """Settings with the names of the components that they take by default."""
    changes: dict[str, Any] = {}
    for field in attrs.fields(type(settings)):
        value = getattr(settings, field.name)
        if KIND in field.metadata:
            changes[field.name] = value if value.name else attrs.evolve(value, name=registry.default(field.metadata[KIND]))
        elif attrs.has(type(value)):
            changes[field.name] = named_parts(value, registry)
    named: S = attrs.evolve(settings, **changes)  # type: ignore[misc]
    return named


def check_components(pipeline: Pipeline, registry: Registry, faults: Faults) -> list[Use]:
    """Check all components and what they are made of; returns those in use, as far as they are known."""
    return check_named_components(pipeline_parts(pipeline), pipeline.face.landmarks.name, pipeline.weights, registry, faults)


def check_named_components(
    parts: Sequence[tuple[str, tuple[Key, ...], Part]], landmarks: str, weights: Mapping[str, str], registry: Registry, faults: Faults
) -> list[Use]:
    """Check components given as kind, TOML path and part; ``landmarks`` is the landmark detector in use, ``weights`` the replaced files."""
    uses: list[Use] = []
    checker = _Checker(registry, _landmarks_given(landmarks, registry), faults)
    for kind, path, part in parts:
        uses += checker.check(kind, part.name, (*path, "name"), part.options, (*path, "options"))
    overrides = check_weights(weights, registry, faults)
    for use in uses:
        if use.options == _defaults(use.spec):
            for name in use.spec.weights:
                if name not in overrides:
                    _check_file(name, registry, None, use.stage, faults)
    return uses


@attrs.frozen
class _Checker:
    """Checks components one by one. landmarks: the records the landmark detector in use gives, which others are called with."""

    registry: Registry
    landmarks: Records
    faults: Faults

    def check(self, kind: str, name: str, name_path: tuple[Key, ...], given: Mapping[str, Any], path: tuple[Key, ...]) -> Iterator[Use]:
        """One component and what it is made of."""
        if self.faults.touches(*name_path):
            return
        try:
            spec = self.registry.spec(kind, name)
        except PluginError as error:
            self.faults.add_error(error, dotted(name_path))
            return
        self._records(spec, dotted(name_path))
        options, found = structure(dict(given), spec.options, path)
        for place, fault in found:
            self.faults.keys.append(place)
            self.faults.add(fault.where, fault.what, fault.fix or f"mmfa plugins show {kind}/{name} lists the options")
        stage = name_path[0] if kind == "animator" else ".".join(str(k) for k in name_path[:-1])
        if kind in ("face_detector", "landmark_detector", "animator"):
            yield Use(str(stage), spec, options)
        else:
            yield Use(f"animator/{kind}", spec, options)
        if options is not None:
            if spec.check is not None:
                self._at_hand(spec, options, dotted(name_path))
            yield from self._inner(spec, options, path)

    def _at_hand(self, spec: ComponentSpec, options: Any, where: str) -> None:
        """Note the packages and files that a component asks for and that are not there."""
        try:
            if spec.check is not None:
                spec.check(options)
        except MMFAError as error:
            self.faults.add_error(error, where)

    def _inner(self, spec: ComponentSpec, options: Any, path: tuple[Key, ...]) -> Iterator[Use]:
        """The parts of a composed component: options called like kinds name them, the option ``parts`` holds their options by kind."""
        kinds = [f.name for f in attrs.fields(spec.options) if f.name in self.registry.kinds and isinstance(getattr(options, f.name), str)]
        if not kinds:
            return
        given = getattr(options, "parts", {})
        for kind in given:
            if kind not in kinds:
                self.faults.add(dotted((*path, "parts", kind)), f"{spec.name} has no part of this kind", did_you_mean(kind, kinds))
        for kind in kinds:
            yield from self.check(kind, getattr(options, kind), (*path, kind), given.get(kind, {}), (*path, "parts", kind))

    def _records(self, spec: ComponentSpec, where: str) -> None:
        kind = self.registry.kinds[spec.kind]
        if kind.called_with is None:
            return
        must_give = (*kind.gives, *((spec.motion.record,) if spec.motion else ()))
        at_hand = [own for c in kind.called_with for own in (self.landmarks if c is r.Landmarks else (c,))]
        if spec.kind == "animator" and spec.motion is None:
            self.faults.add(where, f"animator {spec.name!r} does not say what its motion is", "give its ComponentSpec a MotionKind")
        unmet = [n.__name__ for n in dict.fromkeys(spec.needs) if not any(issubclass(c, n) for c in at_hand)]
        missing = [g.__name__ for g in must_give if not any(issubclass(own, g) for own in spec.gives)]
        if unmet:
            got = ", ".join(c.__name__ for c in at_hand)
            what = f"{spec.kind} {spec.name!r} needs {', '.join(unmet)}, but at this place there is {got} only"
            self.faults.add(where, what, f"choose another {spec.kind}: mmfa plugins list")
        if missing:
            gives = ", ".join(g.__name__ for g in spec.gives) or "nothing"
            what = f"{spec.kind} {spec.name!r} gives {gives}, but {', '.join(missing)} is needed here"
            self.faults.add(where, what, f"choose another {spec.kind}: mmfa plugins list")


def _landmarks_given(name: str, registry: Registry) -> Records:
    """The landmarks a detector gives; those of the mesh when it is unknown, which is a fault of its own."""
    try:
        given = tuple(g for g in registry.spec("landmark_detector", name).gives if issubclass(g, r.Landmarks))
    except PluginError:
        given = ()
    return given or (r.MeshLandmarks,)


def _defaults(spec: ComponentSpec) -> Any:
    try:
        return spec.options()
    except (TypeError, ValueError):
        return None


def check_weights(given: Mapping[str, str], registry: Registry, faults: Faults) -> dict[str, Path]:
    """The replaced weights files by name; faults for unknown names, missing and damaged files and other architectures."""
    files: dict[str, Path] = {}
    for name, text in given.items():
        where = dotted(("weights", name))
        if name not in registry.weights:
            faults.add(where, "no weights have this name", did_you_mean(name, registry.weights))
            continue
        files[name] = Path(text).expanduser()
        _check_file(name, registry, files[name], where, faults)
    return files


def _check_file(name: str, registry: Registry, path: Path | None, where: str, faults: Faults) -> None:
    known = registry.weights.get(name)
    if known is None:
        faults.add(where, f"asks for weights {name!r}, which no plugin names", did_you_mean(name, registry.weights))
        return
    file = path or known.path
    try:
        stated = metadata(file).get("architecture")
        if stated != known.architecture:
            what = f"made for architecture {stated!r}, but {name!r} is {known.architecture!r}"
            raise WeightsError(what, where=str(file), fix="use a file of that architecture, or set the options it was trained with")
    except MMFAError as error:
        faults.add_error(error, where)
