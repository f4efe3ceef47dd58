"""Strict structuring: types, paths, all faults at once, did-you-mean, validators' own messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import attrs
import pytest

from pipelines.config.schema import Engine, Pipeline
from pipelines.config.structuring import salvage, structure, without


@attrs.frozen
class Inner:
    size: int = attrs.field(default=1, validator=attrs.validators.gt(0))
    ratio: float = 0.5


def _even(_: Any, field: Any, value: int) -> None:
    if value % 2:
        raise ValueError(f"{value} is odd, but pairs are needed")


@attrs.frozen
class Outer:
    count: int = attrs.field(default=2, validator=_even)
    flag: bool = False
    name: str = ""
    file: Path = Path()
    mode: Literal["one", "two"] = "one"
    either: str | int = "x"
    maybe: float | None = None
    items: list[Inner] = attrs.field(factory=list)
    names: tuple[str, ...] = ()
    pair: tuple[int, int] = (1, 2)
    table: dict[str, dict[str, int]] = attrs.field(factory=dict)
    inner: Inner = attrs.field(factory=Inner)


def told(value: Any, cls: Any = Outer) -> dict[str, str]:
    """Faults by TOML path."""
    built, found = structure(value, cls)
    assert (built is None) == bool(found)
    return {fault.where: f"{fault.what} {fault.fix}".strip() for _, fault in found}


@pytest.mark.parametrize(
    ("value", "where", "words"),
    [
        ({"count": "4"}, "count", "whole number"),
        ({"count": 4.0}, "count", "whole number"),
        ({"count": True}, "count", "whole number"),
        ({"flag": 1}, "flag", "true or false"),
        ({"flag": "true"}, "flag", "true or false"),
        ({"name": 4}, "name", "text"),
        ({"file": 4}, "file", "path"),
        ({"mode": "twoo"}, "mode", "did you mean 'two'?"),
        ({"mode": 1}, "mode", "'one', 'two'"),
        ({"either": 1.0}, "either", "text or a whole number"),
        ({"either": True}, "either", "text or a whole number"),
        ({"maybe": "0.5"}, "maybe", "number"),
        ({"inner": {"ratio": float("nan")}}, "inner.ratio", "number"),
        ({"inner": {"ratio": "0.5"}}, "inner.ratio", "number"),
        ({"inner": {"ratio": False}}, "inner.ratio", "number"),
        ({"inner": 3}, "inner", "table"),
        ({"inner": [3]}, "inner", "table"),
        ({"names": "abc"}, "names", "put it into [ ]"),
        ({"names": ["a", 3]}, "names[1]", "text"),
        ({"names": {"a": 1}}, "names", "list"),
        ({"pair": [1]}, "pair", "list of 2"),
        ({"items": [{"size": 1}, {"size": "1"}]}, "items[1].size", "whole number"),
        ({"items": [{"sise": 1}]}, "items[0].sise", "did you mean 'size'?"),
        ({"table": {"a b": {"c": "1"}}}, 'table."a b".c', "whole number"),
        ({"table": {"a": 3}}, "table.a", "table"),
        ({"table": 3}, "table", "table"),
        ({"inner": {"size": 0}}, "inner.size", "'size' must be > 0: 0"),
        ({"count": 3}, "count", "3 is odd, but pairs are needed"),
        ({"cuont": 3}, "cuont", "did you mean 'count'?"),
    ],
)
def test_wrong_values_are_told_with_their_path(value: dict[str, Any], where: str, words: str) -> None:
    faults = told(value)
    assert list(faults) == [where]
    assert words in faults[where]


def test_right_values_are_taken() -> None:
    raw = {
        "count": 4, "flag": True, "name": "n", "file": "a/b", "mode": "two", "either": 3, "maybe": 1, "items": [{"size": 2}],
        "names": ["a"], "pair": [3, 4], "table": {"a": {"b": 1}}, "inner": {"ratio": 2},
    }  # fmt: skip
    built, faults = structure(raw, Outer)
    assert not faults
    assert built == Outer(4, True, "n", Path("a/b"), "two", 3, 1.0, [Inner(2)], ("a",), (3, 4), {"a": {"b": 1}}, Inner(ratio=2.0))
    assert type(built.maybe) is float
    assert type(built.inner.ratio) is float


def test_all_faults_at_once_validators_included() -> None:
    raw = {"engine": {"batch": -1, "span": "64", "thread": 1}, "output": {"quality": 99}, "transfer": {"scale": "absolut"}, "kind": "x"}
    assert set(told(raw, Pipeline)) == {"engine.batch", "engine.span", "engine.thread", "output.quality", "transfer.scale", "kind"}


def test_a_table_of_options_alone_keeps_the_default_component() -> None:
    built, faults = structure({"animator": {"options": {"preset": "paper"}}}, Pipeline)
    assert not faults
    assert built is not None
    assert (built.animator.name, built.animator.options) == ("", {"preset": "paper"})


def test_salvage_goes_on_with_defaults_in_place_of_faulty_values() -> None:
    raw = {"engine": {"batch": "8", "span": 32}, "inputs": {"sources": ["a", 3], "driving": ["c"]}}
    built, found = salvage(raw, Pipeline)
    assert {f.where for _, f in found} == {"engine.batch", "inputs.sources[1]"}
    assert built is not None
    assert built.engine == Engine(span=32)
    assert (built.inputs.sources, built.inputs.driving) == ((), ("c",))


def test_without_leaves_the_original_alone() -> None:
    raw = {"a": {"b": 1, "c": [1, 2]}, "d": 2}
    assert without(raw, ["a", "b"]) == {"a": {"c": [1, 2]}, "d": 2}
    assert without(raw, ["a", "c", 1]) == {"a": {"b": 1}, "d": 2}
    assert raw == {"a": {"b": 1, "c": [1, 2]}, "d": 2}
