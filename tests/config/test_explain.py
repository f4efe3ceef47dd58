"""What ``mmfa keys`` says is what the schema checks; the JSON Schema takes every shipped file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import attrs
import pytest
from jsonschema import Draft202012Validator

from pipelines.catalogue import SHIPPED
from pipelines.config.explain import json_schema_of_kinds, keys_of
from pipelines.config.structuring import structure
from pipelines.kinds import DEFAULT, MODULES, schema_of

FILES = sorted(SHIPPED.glob("*.toml"))


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json_schema_of_kinds({name: schema_of(name) for name in MODULES}, DEFAULT)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_every_shipped_file_is_valid(path: Path, validator: Draft202012Validator) -> None:
    assert list(validator.iter_errors(tomllib.loads(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"output": {"qualty": 1}}, {"output": {"quality": 64}}, {"output": {"frame": "square"}}, {"kind": "nothing"},
        {"kind": "edit", "motion": {"yaw": {"take": "clip"}}}, {"kind": "edit", "motion": {"yaw": {"keys": [{"time": 1}]}}},
        {"face": {"select": True}}, {"transfer": {"rotation": "mine"}},
    ],
)  # fmt: skip
def test_what_the_loader_refuses_the_schema_refuses(wrong: dict[str, Any], validator: Draft202012Validator) -> None:
    assert not validator.is_valid(wrong)


@pytest.mark.parametrize("name", MODULES)
def test_defaults_are_those_of_the_schema(name: str) -> None:
    schema = schema_of(name)
    keys = {key.path: key for key in keys_of(schema)}
    made = schema()
    for path, key in keys.items():
        if "<" in path:  # any field of the animator's motion
            continue
        value = made
        for step in path.split("."):
            value = getattr(value, step)
        if key.values == "table":
            assert attrs.has(type(value)), path
            continue
        assert key.default, path
        *tables, last = path.split(".")
        raw: Any = {last: tomllib.loads(f"value = {key.default}")["value"]}
        for table in reversed(tables):
            raw = {table: raw}
        built, faults = structure(raw, schema)
        assert faults == [], path
        assert built == made, path


def test_every_key_of_a_reenactment_is_explained_in_its_own_words() -> None:
    keys = {key.path: key for key in keys_of(schema_of(DEFAULT))}
    assert [path for path, key in keys.items() if not key.about] == []
    assert keys["output.quality"].about == "constant rate factor (lower is better)."
    assert keys["output.quality"].values == "whole number, >= 0, <= 63"
    assert keys["transfer.<field>"].values == '"relative", "absolute", "source"'
    assert keys["face.detector.name"].default == '""'
    assert keys["engine.ray.gpus"].about.startswith("share of a GPU")
    assert keys["cache.folder"].default == '"{cache}"'
