"""``mmfa plugins check``: load every plugin, verify every weights file, build every component."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import Literal

import attrs

from mmfa_components.errors import MMFAError, PackageError, WeightsError
from mmfa_components.kinds import ComponentSpec, Context
from mmfa_components.registry import Registry
from mmfa_components.weights import WeightsFile, file_digest, metadata

Status = Literal["ok", "needs your file", "needs a package", "broken"]


@attrs.frozen
class Finding:
    """What one check found. what: "plugin", "weights" or "component".  details: message or traceback."""

    what: str
    name: str
    status: Status
    details: str = ""


def check_all(registry: Registry) -> Iterator[Finding]:
    """Check all plugins, weights files and components, one after the other. Never raises for what plugins do."""
    for plugin in registry.plugins:
        yield Finding("plugin", plugin.name, "broken" if plugin.broken else "ok", plugin.error)
    for name in sorted(registry.weights):
        yield check_weights(registry.weights[name])
    context = registry.context("cpu")
    for _, spec in sorted(registry.components.items()):
        yield check_component(spec, registry, context)


def check_weights(file: WeightsFile) -> Finding:
    """Whether a weights file is there, is the one that was shipped, and is of the architecture it is registered for."""
    if not file.path.is_file():
        if file.sha256:
            return Finding("weights", file.name, "broken", f"{file.path} is missing: reinstall the package that ships it")
        return Finding("weights", file.name, "needs your file", file.origin)
    try:
        if file.sha256 and file_digest(file.path) != file.sha256:
            text = f"{file.path} is not the file that was shipped (damaged or replaced): reinstall it"
            return Finding("weights", file.name, "broken", text)
        stated = metadata(file.path).get("architecture")
    except MMFAError as error:
        return Finding("weights", file.name, "broken", str(error))
    if stated != file.architecture:
        return Finding("weights", file.name, "broken", f"{file.path} is made for architecture {stated!r}, not {file.architecture!r}")
    return Finding("weights", file.name, "ok", "" if file.sha256 else "no digest is registered: content not verified")


def check_component(spec: ComponentSpec, registry: Registry, context: Context) -> Finding:
    """Build a component on the CPU with its default options."""
    name = f"{spec.kind}/{spec.name}"
    unknown = [w for w in spec.weights if w not in registry.weights]
    if unknown:
        return Finding("component", name, "broken", f"names weights that no plugin registers: {', '.join(unknown)}")
    files = [registry.weights[w] for w in spec.weights]
    own = [f.name for f in files if not f.sha256 and not f.path.is_file()]
    if own:
        return Finding("component", name, "needs your file", f"weights {', '.join(own)}: not shipped")
    try:
        registry.build(spec.kind, spec.name, None, context)
    except WeightsError as error:
        return Finding("component", name, "broken" if files else "needs your file", str(error))
    except PackageError as error:
        return Finding("component", name, "needs a package", str(error))
    except Exception:  # a plugin's factory may fail in any way
        return Finding("component", name, "broken", traceback.format_exc())
    return Finding("component", name, "ok")
