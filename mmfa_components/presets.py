"""Presets of a system: the sizes of its networks under a name, with the weights made for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from mmfa_components.errors import ConfigError, did_you_mean
from mmfa_components.weights import WeightsFile


@attrs.frozen(eq=False)
class Preset:
    """One preset of a system.

    name: what options and TOML files call it.
    sizes: of the networks, an object of the system's own class.
    weights: weights files by role. A role is the kind of component that loads the file, such as
        "animator" or "expression_vae".
    """

    name: str
    sizes: Any
    weights: Mapping[str, WeightsFile]


def find_preset(presets: Mapping[str, Preset], name: str) -> Preset:
    """The preset called ``name``. Raises ConfigError for an unknown name."""
    if name not in presets:
        what = f"no preset is called {name!r}"
        raise ConfigError(what, where="preset", fix=did_you_mean(name, presets))
    return presets[name]
