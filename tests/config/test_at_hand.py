"""Packages and files that are not there are told before any work, in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmfa_components.errors import ConfigError
from mmfa_components.registry import load_registry
from pipelines.catalogue import SHIPPED
from pipelines.kinds import kind_of
from pipelines.runs import check
from plugins.face_alignment import landmarks


def told(*overrides: str, name: str = "batch_reenact") -> str:
    path = SHIPPED / f"{name}.toml"
    with pytest.raises(ConfigError) as caught:
        kind_of(path, overrides).load(path, overrides, load_registry())
    return str(caught.value)


def test_ray_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "find_spec", lambda name: None)
    text = told("engine.name=ray")
    assert "engine.name: Ray is not installed" in text
    assert "pip install 'mmfa[ray]'" in text


def test_weights_of_the_users_own_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    text = told("animator.options.rotation_estimator=hopenet")
    assert "no weights file is named" in text
    assert "hopenet_robust_alpha1.pkl" in text
    file = tmp_path / "gone.pkl"
    assert str(file) in told("animator.options.rotation_estimator=hopenet", f"animator.options.parts.rotation_estimator.weights={file}")
    assert "2DFAN4" in told("face.landmarks.name=face_alignment")


def test_the_package_of_a_component_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landmarks, "find_spec", lambda name: None)
    assert "pip install 'mmfa[face-alignment]'" in told("face.landmarks.name=face_alignment")


def test_the_packages_of_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.kinds import evaluate

    monkeypatch.setattr(evaluate, "find_spec", lambda name: None if name == "matplotlib" else object())
    assert "need the package matplotlib" in told(name="evaluate")


def test_a_table_given_one_value_is_explained() -> None:
    text = told("motion.yaw=15", name="edit")
    assert "motion.yaw: expected a table, got the number 15" in text
    assert "such as offset = 15" in text
