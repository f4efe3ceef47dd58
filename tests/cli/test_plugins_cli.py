"""``mmfa plugins``: list, show, check and sizes, with plugins that are fine, broken, or need the user's files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from safetensors.torch import save_file
from toy_system import toy_registry

import plugins.__main__ as command
from mmfa_components import records as r
from mmfa_components.errors import WeightsError
from mmfa_components.kinds import ComponentSpec
from mmfa_components.registry import Plugin, Registry, load_registry
from mmfa_components.weights import WeightsFile, file_digest


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The toy system with its broken plugin, in place of the installed ones."""
    registry = toy_registry(tmp_path)
    monkeypatch.setattr(command, "load_registry", lambda: registry)
    return registry


def said(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    assert command.main(arguments) == code
    captured = capsys.readouterr()
    return captured.out + captured.err


def test_list_names_components_and_broken_plugins(toys: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, 0, "list")
    for words in ("animator/toy", "toys 1.0", "Identity, Motion", "broken plugin shattered (shards 0.1, shards): ImportError: no such thing"):
        assert words in text
    known = json.loads(said(capsys, 0, "list", "--json"))
    assert [p["broken"] for p in known["plugins"]] == [False, True]
    assert "no such thing" in known["plugins"][1]["traceback"]
    assert {f"{c['kind']}/{c['name']}" for c in known["components"]} == {"/".join(k) for k in toys.components}


def test_show_gives_origin_records_options_and_weights(toys: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, 0, "show", "animator/toy")
    for words in (
        "animator/toy  version 3", "toys 1.0, entry point toy = toys", "needs     Frames, Landmarks", 'option    rotation_estimator: str = "toy"',
        "option    parts: dict[str, dict[str, Any]] = {}", "A composed animator's options.", "weights   toy_weights (present)", "toy/1",
    ):  # fmt: skip
        assert words in text
    (one,) = json.loads(said(capsys, 0, "show", "animator/toy", "--json"))
    assert one["weights"][0]["sha256"] == file_digest(toys.weights["toy_weights"].path)
    assert {o["name"]: o["default"] for o in one["options"]} == {"rotation_estimator": "toy", "affine_estimator": "toy", "parts": {}}
    names = {c["name"] for c in json.loads(said(capsys, 0, "show", "facemesh", "--json"))}
    assert names == {"facemesh"}
    assert len(json.loads(said(capsys, 0, "show", "toy", "--json"))) == len(toys.components)  # the plugin's name


def test_show_of_unknown_and_broken_names(toys: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean 'facemesh'?" in said(capsys, 2, "show", "facemsh")
    assert "did you mean 'blind'?" in said(capsys, 2, "show", "face_detector/blnd")
    assert "ImportError: no such thing" in said(capsys, 2, "show", "shattered")


def checked(registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: int) -> dict[str, tuple[str, str]]:
    monkeypatch.setattr(command, "load_registry", lambda: registry)
    rows = json.loads(said(capsys, code, "check", "--json"))
    return {f"{row['what']} {row['name']}": (row["status"], row["details"]) for row in rows}


def test_check_tells_broken_from_missing_files_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good, other = tmp_path / "good.safetensors", tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, good, {"architecture": "a/1"})
    save_file({"a": torch.zeros(1)}, other, {"architecture": "b/1"})
    gone = tmp_path / "gone.safetensors"

    def raising(error: Exception) -> Any:
        def factory(options: Any, context: Any) -> None:
            raise error

        return factory

    files = (
        WeightsFile("good", good, "a/1", file_digest(good)), WeightsFile("changed", good, "a/1", "0" * 64), WeightsFile("other", other, "a/1"),
        WeightsFile("theirs", gone, "a/1", origin="download it"), WeightsFile("lost", gone, "a/1", "0" * 64),
    )  # fmt: skip
    plain = ComponentSpec("metric", "fine", lambda options, context: context.weights.read("good"), (r.Frames,), (), weights=("good",))
    specs = (
        plain,
        attrs.evolve(plain, name="theirs", weights=("theirs",)),
        attrs.evolve(plain, name="asks", weights=(), factory=raising(WeightsError("name your file"))),
        attrs.evolve(plain, name="misfit", factory=raising(WeightsError("does not fit"))),
        attrs.evolve(plain, name="crash", factory=raising(ZeroDivisionError("oops"))),
        attrs.evolve(plain, name="unknown", weights=("nowhere",)),
    )
    registry = Registry()
    registry.add(Plugin("p", "d", "1", "t", specs, files))
    known = checked(registry, monkeypatch, capsys, 1)
    assert {name: status for name, (status, _) in known.items()} == {
        "plugin p": "ok", "weights good": "ok", "weights changed": "broken", "weights other": "broken", "weights theirs": "needs your file",
        "weights lost": "broken", "component metric/fine": "ok", "component metric/theirs": "needs your file",
        "component metric/asks": "needs your file", "component metric/misfit": "broken", "component metric/crash": "broken",
        "component metric/unknown": "broken",
    }  # fmt: skip
    assert "ZeroDivisionError: oops" in known["component metric/crash"][1]
    assert "architecture 'b/1', not 'a/1'" in known["weights other"][1]
    text = said(capsys, 1, "check")
    assert "Traceback" in text
    assert "12 checked: 6 broken, 3 that need your file" in text


def test_check_shows_the_traceback_of_a_broken_plugin(toys: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    assert "broken plugin shattered:\nTraceback ...\nImportError: no such thing" in said(capsys, 1, "check")


def test_everything_that_is_shipped_works(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    known = checked(load_registry(), monkeypatch, capsys, 0)
    for name in ("plugin mmfa", "weights mmfa_base", "component animator/mmfa", "component rotation_estimator/facemesh"):
        assert known[name][0] == "ok", known[name]
    assert known["component rotation_estimator/hopenet"][0] == "needs your file"


def test_sizes_of_both_presets(capsys: pytest.CaptureFixture[str]) -> None:
    base = json.loads(said(capsys, 0, "sizes", "--json"))
    rows = {m["module"]: m for m in base["modules"]}
    assert base["totals"]["parameters_of_animation"] == sum(m["parameters"] for m in rows.values() if m["per"] in ("portrait", "driven frame"))
    assert base["totals"]["parameters_of_animation"] <= 12_000_000
    assert base["totals"]["gmac_per_driven_frame"] <= 30
    text = said(capsys, 0, "sizes")
    assert f"{rows['generator']['parameters']:,}" in text
    paper = json.loads(said(capsys, 0, "sizes", "--preset", "paper", "--json"))
    assert paper["totals"]["parameters_of_animation"] > base["totals"]["parameters_of_animation"]
    assert "papr" in said(capsys, 2, "sizes", "--preset", "papr")
