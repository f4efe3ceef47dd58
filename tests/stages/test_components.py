"""What "0" and "auto" stand for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from pipelines.stages.components import resolve_batch


@pytest.mark.parametrize(
    ("given", "device", "gib", "batch"), [(0, "cpu", 0, 2), (5, "cpu", 0, 5), (0, "cuda", 80, 24), (0, "cuda", 8, 8), (3, "cuda", 8, 3)]
)
def test_a_batch_that_suits_the_device(given: int, device: str, gib: int, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=gib * 2**30))
    assert resolve_batch(given, torch.device(device)) == batch
