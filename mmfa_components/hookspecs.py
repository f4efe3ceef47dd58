"""Every hook a plugin may implement. This is the whole plugin interface: one screen.

A plugin is a module or object behind an entry point of group ``mmfa``::

    [project.entry-points.mmfa]
    my_plugin = "my_package.my_module"

with functions marked by :data:`hookimpl`. MMFA's own systems are registered in exactly this way.
"""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from mmfa_components.kinds import ComponentSpec, KindSpec
from mmfa_components.records import Record
from mmfa_components.weights import WeightsFile

PROJECT = "mmfa"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def mmfa_components() -> Sequence[ComponentSpec]:  # type: ignore[empty-body]
    """Return the components this plugin registers: (kind, name, options class, factory, records needed and given)."""


@hookspec
def mmfa_weights() -> Sequence[WeightsFile]:  # type: ignore[empty-body]
    """Return the weights files this plugin names; components ask for them by name."""


@hookspec
def mmfa_records() -> Sequence[type[Record]]:  # type: ignore[empty-body]
    """Return record classes of this plugin's own, so that the cache can read them back by name."""


@hookspec
def mmfa_kinds() -> Sequence[KindSpec]:  # type: ignore[empty-body]
    """Return kinds of component of this plugin's own, such as a part that only its animator has."""
