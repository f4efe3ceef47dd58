"""``--set``: values as TOML or text, keys into tables and lists, unknown keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.config.faults import Faults
from pipelines.config.overrides import apply_overrides, parse_key, parse_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3), ("3.5", 3.5), ("true", True), ('"3"', "3"), ('["a", "b"]', ["a", "b"]), ("{x = 1}", {"x": 1}),
        ("paste", "paste"), ("a/b *.png", "a/b *.png"), ("", ""), ("True", "True"), ("1\nother = 2", "1\nother = 2"),
    ],
)  # fmt: skip
def test_values(text: str, value: Any) -> None:
    parsed = parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("a.b", ["a", "b"]), ("a[0].b", ["a", 0, "b"]), ('a."b c".d', ["a", "b c", "d"]), ("a.0", ["a", "0"]), (" a . b ", ["a", "b"]),
        ("", None), ("a.", None), ("[0]", None), ("a..b", None),
    ],
)  # fmt: skip
def test_keys(text: str, keys: Any) -> None:
    assert parse_key(text) == keys


def applied(raw: dict[str, Any], *overrides: str) -> dict[str, Any]:
    faults = Faults()
    result = apply_overrides(raw, overrides, faults)
    assert faults.items == []
    return result


def test_overrides_reach_tables_options_and_lists_and_leave_the_original_alone() -> None:
    raw: dict[str, Any] = {"inputs": {"sources": ["a", "b"]}, "animator": {"name": "mmfa"}}
    result = applied(
        raw, "output.quality=20", "animator.options.parts.rotation_estimator.keep=0.25", "inputs.sources[1]=c", "inputs.sources.2=d",
        "inputs.driving=x.mp4", "output.folder=2026",
    )  # fmt: skip
    assert result == {
        "inputs": {"sources": ["a", "c", "d"], "driving": ["x.mp4"]},
        "animator": {"name": "mmfa", "options": {"parts": {"rotation_estimator": {"keep": 0.25}}}},
        "output": {"quality": 20, "folder": "2026"},
    }
    assert raw == {"inputs": {"sources": ["a", "b"]}, "animator": {"name": "mmfa"}}


def test_a_later_override_wins() -> None:
    assert applied({}, "engine.batch=1", "engine.batch=2") == {"engine": {"batch": 2}}


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("output.qualty=3", "did you mean 'quality'?"),
        ("outptu.quality=3", "did you mean 'output'?"),
        ("output.quality", "key=value"),
        ("=3", "key=value"),
        ("output.quality.deep=3", "neither a table nor a list"),
        ("inputs.sources[7]=x", "list of 1 items"),
        ("inputs.sources.x=y", "list of 1 items"),
    ],
)
def test_wrong_overrides_are_named(override: str, words: str) -> None:
    faults = Faults()
    apply_overrides({"inputs": {"sources": ["a"]}, "output": {"quality": 3}}, [override], faults)
    (fault,) = faults.items
    assert fault.where == f"--set {override}"
    assert words in str(fault)


@pytest.mark.parametrize(
    ("raw", "overrides", "left"),
    [
        ({"sources": ["a"], "driving": ["b"]}, ["inputs.jobs=j.csv"], {"jobs": "j.csv"}),
        ({"jobs": "j.csv"}, ["inputs.sources=a", "inputs.driving=b"], {"sources": ["a"], "driving": ["b"]}),
        ({"jobs": "j.csv"}, ["inputs.sources=a", "inputs.jobs=k.csv"], {"jobs": "k.csv", "sources": ["a"]}),
        ({"sources": ["a"], "jobs": ""}, ["inputs.jobs="], {"sources": ["a"], "jobs": ""}),
    ],
)
def test_what_is_given_instead_of_other_inputs_takes_their_place(raw: dict[str, Any], overrides: list[str], left: dict[str, Any]) -> None:
    assert applied({"inputs": raw}, *overrides) == {"inputs": left}


def test_a_list_whose_quotes_the_shell_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert applied({}, "inputs.sources=[a.jpg, b c.png]", "inputs.driving=[x.mp4]")["inputs"] == {
        "sources": ["a.jpg", "b c.png"], "driving": ["x.mp4"],
    }  # fmt: skip
    (tmp_path / "[me]").write_bytes(b"x")
    assert applied({}, "inputs.sources=[me]")["inputs"] == {"sources": ["[me]"]}
