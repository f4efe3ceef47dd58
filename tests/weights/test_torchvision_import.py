"""The guarded import of torchvision, in fresh interpreters."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mmfa_components.errors import PluginError
from mmfa_components.torchvision_import import import_torchvision

TWICE = """
import torch
from mmfa_components.torchvision_import import import_torchvision
models = import_torchvision("torchvision.models")
assert import_torchvision("torchvision.models") is models
import torchvision
assert hasattr(torch.ops.torchvision, "nms")
with torch.no_grad():
    print(tuple(models.resnet18(weights=None).eval()(torch.zeros(1, 3, 32, 32)).shape))
"""


def test_models_run_after_a_guarded_import() -> None:
    done = subprocess.run([sys.executable, "-c", TWICE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(1, 1000)"


def test_unknown_module_is_told_as_plugin_error() -> None:
    with pytest.raises(PluginError, match="torchvision"):
        import_torchvision("torchvision.no_such_module")
