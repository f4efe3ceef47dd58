"""Which system a training file names: its recipe, looked up in the registry and made."""

from __future__ import annotations

from typing import Any

from mmfa_components.kinds import ComponentSpec
from mmfa_components.registry import Registry
from mmfa_components.training.recipe import TrainingRecipe
from pipelines.training.schema import TrainPipeline

RECIPE = "recipe"
"""Kind of the components that say how an animator is trained; they have its name."""


def recipe_spec(registry: Registry, system: str) -> ComponentSpec:
    """The recipe of a system, "" for the default animator's. Raises PluginError."""
    return registry.spec(RECIPE, system or registry.default("animator"))


def recipe_of(pipeline: TrainPipeline, registry: Registry) -> TrainingRecipe:
    """The recipe of a pipeline. Raises PluginError, or ConfigError for an unknown preset."""
    spec = recipe_spec(registry, pipeline.model.system)
    return made(spec, pipeline.options(spec.options), registry)


def made(spec: ComponentSpec, options: Any, registry: Registry) -> TrainingRecipe:
    """The recipe of a spec; no network is made or loaded. Raises what its factory raises."""
    recipe = registry.build(spec.kind, spec.name, options, registry.context())
    assert isinstance(recipe, TrainingRecipe), f"{spec.kind} {spec.name!r} is no TrainingRecipe"
    return recipe
