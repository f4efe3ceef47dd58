"""Import torchvision also where its compiled operators cannot be loaded.

The registry's torchvision links its operators against CUDA. Beside a CPU-only torch they stay unloaded, and the import stops at the
first reference to one: ``operator torchvision::nms does not exist``. Its models are plain Python and need none of them, so the
two schemas the import refers to are declared, without an implementation, and the import is repeated.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import torch

from mmfa_components.errors import PluginError

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[torch.library.Library] = []  # a Library's declarations live as long as it does


def import_torchvision(module: str = "torchvision") -> ModuleType:
    """Import ``module`` of torchvision (such as ``torchvision.models``). Raises PluginError when it is missing or cannot be imported."""
    try:
        return importlib.import_module(module)
    except RuntimeError as error:
        if "torchvision::" not in str(error) or _declared:
            raise _fault(error) from error
    except ImportError as error:
        raise _fault(error) from error
    for name in [n for n in sys.modules if n == "torchvision" or n.startswith("torchvision.")]:
        del sys.modules[name]  # what the failed import left behind
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in SCHEMAS:
        if not hasattr(torch.ops.torchvision, schema.partition("(")[0]):
            library.define(schema)
    _declared.append(library)
    try:
        return importlib.import_module(module)
    except (ImportError, RuntimeError) as error:
        raise _fault(error) from error


def _fault(error: Exception) -> PluginError:
    fix = "install the torchvision release that belongs to the installed torch (torch 2.13 goes with torchvision 0.28)"
    return PluginError(f"torchvision cannot be imported: {error}", where="torchvision", fix=fix)
