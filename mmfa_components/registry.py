"""The component registry: finds plugins, keeps broken ones from doing harm, builds components by kind and name."""

from __future__ import annotations

import importlib.metadata
import os
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_origin

import attrs
import pluggy
import torch

from mmfa_components import hookspecs
from mmfa_components import records as own_records
from mmfa_components.errors import ConfigError, PluginError, did_you_mean
from mmfa_components.kinds import KINDS, ComponentSpec, Context, KindSpec
from mmfa_components.records import HEAD, MotionKind, Record, motion_kind_of
from mmfa_components.weights import WeightsCatalogue, WeightsFile

ENTRY_POINT_GROUP = "mmfa"
DISABLE_VARIABLE = "MMFA_DISABLE_PLUGINS"  # comma-separated entry-point names


@attrs.frozen
class Plugin:
    """One plugin: where it came from, what it registered, or the traceback that says why it is broken."""

    name: str
    distribution: str
    version: str
    target: str
    components: tuple[ComponentSpec, ...] = ()
    weights: tuple[WeightsFile, ...] = ()
    records: tuple[type[Record], ...] = ()
    kinds: tuple[KindSpec, ...] = ()
    error: str = ""

    @property
    def broken(self) -> bool:
        """True when the plugin could not be loaded; ``error`` holds the traceback."""
        return bool(self.error)


@attrs.define
class Registry:
    """All components by (kind, name). Build it with :func:`load_registry`.

    motions: kinds of motion by the name of their record, of all animators.
    """

    plugins: list[Plugin] = attrs.field(factory=list)
    components: dict[tuple[str, str], ComponentSpec] = attrs.field(factory=dict)
    owners: dict[tuple[str, str], Plugin] = attrs.field(factory=dict)
    weights: dict[str, WeightsFile] = attrs.field(factory=dict)
    records: dict[str, type[Record]] = attrs.field(factory=dict)
    kinds: dict[str, KindSpec] = attrs.field(factory=lambda: {k.name: k for k in KINDS})
    motions: dict[str, MotionKind] = attrs.field(factory=lambda: {HEAD.record.__name__: HEAD})

    def add(self, plugin: Plugin) -> None:
        """Add a plugin's registrations; one that clashes with an earlier plugin is kept as broken instead."""
        if not plugin.broken:
            plugin = attrs.evolve(plugin, error=self._clash(plugin))
        self.plugins.append(plugin)
        if plugin.broken:
            return
        self.kinds.update({k.name: k for k in plugin.kinds})
        for spec in plugin.components:
            self.components[spec.kind, spec.name] = spec
            self.owners[spec.kind, spec.name] = plugin
            if spec.motion is not None:
                self.motions[spec.motion.record.__name__] = spec.motion
                self.records.setdefault(spec.motion.record.__name__, spec.motion.record)
        self.weights.update({w.name: w for w in plugin.weights})
        self.records.update({r.__name__: r for r in plugin.records})

    def _clash(self, plugin: Plugin) -> str:
        """What stands against a plugin beside those that are here already; "" for nothing."""
        clash = [f"{c.kind} {c.name!r}" for c in plugin.components if (c.kind, c.name) in self.components]
        clash += [f"weights {w.name!r}" for w in plugin.weights if w.name in self.weights]
        clash += [f"record {r.__name__!r}" for r in plugin.records if r.__name__ in self.records]
        clash += [f"kind {k.name!r}" for k in plugin.kinds if k.name in self.kinds]
        motions = [c.motion for c in plugin.components if c.motion is not None]
        clash += [f"motion {m.record.__name__!r}" for m in motions if self.motions.get(m.record.__name__, m) != m]
        defaults = [c.kind for c in plugin.components if c.default and self.default(c.kind)]
        clash += [f"default {kind}" for kind in defaults]
        if clash:
            return f"already registered by another plugin: {', '.join(clash)}"
        known = {*self.kinds, *(k.name for k in plugin.kinds)}
        unknown = next((c for c in plugin.components if c.kind not in known), None)
        if unknown is None:
            return ""
        return f"registers {unknown.name!r} of kind {unknown.kind!r}, which no plugin brings ({did_you_mean(unknown.kind, known)})"

    def default(self, kind: str) -> str:
        """Name of the component of ``kind`` that is taken where none is named; "" when there is none."""
        return next((spec.name for (k, _), spec in self.components.items() if k == kind and spec.default), "")

    def motion_of(self, record: type[Record]) -> MotionKind | None:
        """The kind of motion that a record class is, or extends; None for other records."""
        return motion_kind_of(record, self.motions)

    def names(self, kind: str) -> list[str]:
        """Names registered for a kind, sorted."""
        return sorted(name for k, name in self.components if k == kind)

    def spec(self, kind: str, name: str, where: str = "") -> ComponentSpec:
        """Look a component up; "" is the default of its kind. Raises PluginError with a did-you-mean, naming broken plugins."""
        if kind not in self.kinds:
            raise PluginError(f"no component kind is called {kind!r}", where=where, fix=did_you_mean(kind, self.kinds))
        name = name or self.default(kind)
        if not name:
            raise PluginError(f"no {kind} is named, and none is the default", where=where, fix=did_you_mean("", self.names(kind)))
        if (kind, name) not in self.components:
            fix = did_you_mean(name, self.names(kind))
            broken = [p.name for p in self.plugins if p.broken]
            if broken:
                fix += f"; broken plugins: {', '.join(broken)} (mmfa plugins check shows why)"
            raise PluginError(f"no {kind} is called {name!r}", where=where, fix=fix)
        return self.components[kind, name]

    def catalogue(self, overrides: Mapping[str, Path] | None = None) -> WeightsCatalogue:
        """The weights catalogue of all plugins with the user's replacements."""
        return WeightsCatalogue.of(self.weights.values(), dict(overrides or {}))

    def context(
        self,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        overrides: Mapping[str, Path] | None = None,
    ) -> Context:
        """A context that builds components of this registry."""
        context = Context(
            device=torch.device(device),
            dtype=dtype,
            weights=self.catalogue(overrides),
            build=lambda kind, name, options: self.build(kind, name, options, context),
            spec=self.spec,
        )
        return context

    def build(self, kind: str, name: str, options: Any, context: Context, where: str = "") -> Any:
        """Build a component; ``options`` is None, a mapping, or an instance of its options class.

        Raises PluginError for an unknown name, ConfigError for unknown options, WeightsError from the factory.
        """
        spec = self.spec(kind, name, where)
        return spec.factory(make_options(spec, options, where or f"{kind}.{name}"), context)


def make_options(spec: ComponentSpec, options: Any, where: str) -> Any:
    """Turn a mapping into ``spec.options``. Raises ConfigError for unknown names or values the options class refuses."""
    if isinstance(options, spec.options):
        return options
    return _filled(spec.options, dict(options or {}), where, f"see: mmfa plugins show {spec.kind}/{spec.name}")


def _filled(cls: type[Any], given: Mapping[str, Any], where: str, fix: str) -> Any:
    """``cls`` from a mapping; tables become the nested attrs classes and lists the tuples that it declares."""
    fields = attrs.fields_dict(attrs.resolve_types(cls))
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in fields:
            raise ConfigError(f"unknown option {key!r}", where=where, fix=did_you_mean(key, fields))
        kind = fields[key].type
        if isinstance(value, Mapping) and isinstance(kind, type) and attrs.has(kind):
            value = _filled(kind, value, f"{where}.{key}", fix)
        elif isinstance(value, list) and (kind is tuple or get_origin(kind) is tuple):
            value = tuple(value)
        values[key] = value
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        text = str(error.args[0]) if error.args else str(error)
        raise ConfigError(text, where=where, fix=fix) from error


def load_registry() -> Registry:
    """Load every entry point of group ``mmfa`` except those named in $MMFA_DISABLE_PLUGINS; a broken one is reported, not raised."""
    disabled = {n.strip() for n in os.environ.get(DISABLE_VARIABLE, "").split(",") if n.strip()}
    registry = Registry(records={n: c for n, c in vars(own_records).items() if isinstance(c, type) and issubclass(c, Record)})
    entries = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    ordered = sorted(entries, key=lambda e: (e.dist is None or e.dist.name != "mmfa", e.name))
    plugins = [_load(entry) for entry in ordered if entry.name not in disabled]
    for plugin in sorted(plugins, key=lambda p: (p.distribution != "mmfa", not p.kinds)):  # kinds before what is of them
        registry.add(plugin)
    return registry


def _load(entry: importlib.metadata.EntryPoint) -> Plugin:
    dist = entry.dist.name if entry.dist else "unknown"
    version = entry.dist.version if entry.dist else "unknown"
    plugin = Plugin(entry.name, dist, version, entry.value)
    try:
        return inspect_plugin(plugin, entry.load())
    except (Exception, SystemExit):  # a plugin may fail in any way; its traceback is what the user needs
        return attrs.evolve(plugin, error=traceback.format_exc())


def inspect_plugin(plugin: Plugin, target: object) -> Plugin:
    """Call the hooks of one plugin object through pluggy and return ``plugin`` filled in. Raises whatever the plugin raises."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(target, name=plugin.name)
    manager.check_pending()
    components = tuple(c for group in manager.hook.mmfa_components() for c in group)
    weights = tuple(w for group in manager.hook.mmfa_weights() for w in group)
    records = tuple(r for group in manager.hook.mmfa_records() for r in group)
    kinds = tuple(k for group in manager.hook.mmfa_kinds() for k in group)
    given = (("mmfa_components", ComponentSpec, components), ("mmfa_weights", WeightsFile, weights), ("mmfa_kinds", KindSpec, kinds))
    for hook, kind, items in given:
        for item in items:
            if not isinstance(item, kind):
                raise PluginError(f"{hook} gave {item!r}, which is no {kind.__name__}", where=plugin.target)
    for item in records:
        if not (isinstance(item, type) and issubclass(item, Record)):
            raise PluginError(f"mmfa_records gave {item!r}, which is no record class", where=plugin.target)
    for spec in components:
        _check_spec(spec, plugin.target)
    names = [f"{c.kind} {c.name!r}" for c in components] + [f"weights {w.name!r}" for w in weights]
    names += [f"record {r.__name__}" for r in records] + [f"kind {k.name}" for k in kinds]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PluginError(f"registers the same name twice: {', '.join(twice)}", where=plugin.target)
    if not (components or weights or records or kinds):
        raise PluginError("implements none of the hooks", where=plugin.target, fix="mark its functions with hookspecs.hookimpl")
    return attrs.evolve(plugin, components=components, weights=weights, records=records, kinds=kinds)


def _check_spec(spec: ComponentSpec, where: str) -> None:
    """Raise PluginError for a spec whose parts are not what :class:`ComponentSpec` says."""
    place = f"{where} ({spec.kind} {spec.name!r})"
    if not (isinstance(spec.options, type) and attrs.has(spec.options)):
        raise PluginError("its options are no attrs class", where=place, fix="decorate the class with attrs.frozen")
    required = [f.name for f in attrs.fields(spec.options) if f.init and f.default is attrs.NOTHING]
    if required:
        raise PluginError(f"its options have no default: {', '.join(required)}", where=place, fix="give every option a default")
    if not callable(spec.factory):
        raise PluginError("its factory cannot be called", where=place, fix="give factory(options, context)")
    for record in (*spec.needs, *spec.gives):
        if not (isinstance(record, type) and issubclass(record, Record)):
            raise PluginError(f"needs or gives {record!r}, which is no record class", where=place)
