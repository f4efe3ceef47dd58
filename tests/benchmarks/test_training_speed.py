"""The benchmark of training runs every part it measures."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tiny_training import use_tiny_preset

from benchmarks import training_speed


@pytest.mark.parametrize("more", [[], ["--window", "32", "--discriminator", "features"]])
def test_a_rehearsal_measures_steps_and_modules(
    more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use_tiny_preset()
    out = tmp_path / "speed.json"
    monkeypatch.setattr(sys, "argv", ["x", "--preset", "tiny", "--device", "cpu", "--batch", "2", "--steps", "1", "--json", str(out), *more])
    assert training_speed.main() == 0
    found = json.loads(out.read_text())
    assert found["settings"][0]["pairs_per_second"] > 0
    assert found["settings"][0]["levers"]["window"] == (32 if more else 0)
    assert len(found["modules"]) == 10
    assert all(m["forward_ms"] > 0 and m["backward_ms"] > 0 for m in found["modules"].values())
    assert "images/s" in capsys.readouterr().out
