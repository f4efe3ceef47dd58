"""The converted face models and a real picture (scikit-image's astronaut, public domain)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage.data import astronaut
from torch import Tensor

import plugins.facemesh as facemesh
from mmfa_components.registry import Plugin, Registry, inspect_plugin


@pytest.fixture(scope="session")
def facemesh_registry() -> Registry:
    registry = Registry()
    registry.add(inspect_plugin(Plugin("facemesh", "mmfa", "0", "plugins.facemesh"), facemesh))
    return registry


@pytest.fixture(scope="session")
def build(facemesh_registry: Registry) -> Any:
    """``build(kind, **options)``: one of the three components."""
    context = facemesh_registry.context()
    return lambda kind, **options: facemesh_registry.build(kind, "facemesh", options, context)


@pytest.fixture(scope="session")
def portrait() -> Tensor:
    """(1, 3, 512, 512) in [0, 1]; the face is about 95 pixels wide at (224, 115)."""
    return torch.from_numpy(astronaut().copy()).permute(2, 0, 1)[None].float() / 255


@pytest.fixture(scope="session")
def head(portrait: Tensor) -> Tensor:
    """(1, 3, 240, 240), the face in its middle."""
    return portrait[..., :240, 104:344].contiguous()


@pytest.fixture(scope="session")
def reference() -> dict[str, np.ndarray[Any, Any]]:
    """Outputs of the original runtimes; test_perception_parity.py says of which."""
    return dict(np.load(Path(__file__).with_name("reference_outputs.npz")))
