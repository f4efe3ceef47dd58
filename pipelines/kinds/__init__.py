"""What kinds of pipeline there are. A pipeline file's ``kind`` chooses one; each is one module with the object ``KIND``."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs
from rich.console import Console, RenderableType

from mmfa_components.errors import ConfigError, did_you_mean
from mmfa_components.registry import Registry
from pipelines.config.faults import Faults
from pipelines.config.load import read_toml
from pipelines.config.overrides import apply_overrides

MODULES: Mapping[str, str] = {
    "reenact": "pipelines.kinds.reenact",
    "edit": "pipelines.kinds.edit",
    "interpolate": "pipelines.kinds.interpolate",
    "canonical": "pipelines.kinds.canonical",
    "sweep": "pipelines.kinds.sweep",
    "decompose": "pipelines.kinds.decompose",
    "prepare_dataset": "pipelines.kinds.prepare_dataset",
    "train": "pipelines.kinds.train",
    "train_vae": "pipelines.kinds.train_vae",
    "evaluate": "pipelines.kinds.evaluate",
    "ablate": "pipelines.kinds.ablate",
}
"""Kinds by the name a pipeline file gives, and where they are; a module is imported when its kind is asked for."""

DEFAULT = "reenact"


class Report(Protocol):
    """What a run leaves behind. ``exit_code``: 0 all is well, 1 something failed, 130 interrupted."""

    @property
    def exit_code(self) -> int: ...
    def to_json(self) -> str: ...


@attrs.frozen
class Kind:
    """One kind of pipeline.

    load: file, overrides, registry -> a checked plan; raises ConfigError listing every fault.  describe, facts: the plan for people
    and as plain data, nothing computed.  run: does the work, with progress on the console.  schema: attrs class of
    the whole file; see :func:`schema_of`.  recipe: kind of the components whose options are tables of the file, "" for none.
    """

    load: Callable[[Path, Sequence[str], Registry], Any]
    describe: Callable[[Any, Registry], RenderableType]
    facts: Callable[[Any, Registry], dict[str, Any]]
    run: Callable[[Any, Registry, Console], Report]
    schema: type[Any]
    recipe: str = ""


def kind_of(path: Path, overrides: Sequence[str]) -> Kind:
    """The kind of a pipeline file. Raises ConfigError for a file that cannot be read, or a kind that does not exist."""
    name = apply_overrides(read_toml(path), overrides, Faults()).get("kind", DEFAULT)
    if not isinstance(name, str) or name not in MODULES:
        fix = did_you_mean(name, MODULES) if isinstance(name, str) else 'such as kind = "reenact"'
        raise ConfigError(f"there is no kind of pipeline {name!r}", where=f"{path}: kind", fix=fix)
    return kind_named(name)


def kind_named(name: str) -> Kind:
    """A kind of ``MODULES``."""
    kind: Kind = importlib.import_module(MODULES[name]).KIND
    return kind


def schema_of(name: str) -> type[Any]:
    """The attrs class of files of a kind; of one that trains, with the tables of the default system's recipe."""
    kind = kind_named(name)
    if not kind.recipe:
        return kind.schema
    from mmfa_components.registry import load_registry
    from pipelines.training.schema import schema_with

    registry = load_registry()
    made: type[Any] = schema_with(kind.schema, registry.spec(kind.recipe, registry.default("animator")).options)
    return made
