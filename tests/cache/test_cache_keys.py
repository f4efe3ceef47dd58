"""Keys: what changes them, what does not, and what cannot be part of one."""

from __future__ import annotations

import enum
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from sample_records import key_of

from cache import CacheKey
from mmfa_components.errors import CacheError
from mmfa_components.records import Motion, Record, tensor

COMPONENT = {"kind": "animator", "name": "mmfa", "version": "1", "options": {"size": 3}, "weights": {"base": "12" * 32}}


def test_digest_is_the_hash_of_the_canonical_preimage() -> None:
    key = key_of(Motion, components=[COMPONENT])
    text = json.dumps(key.preimage, sort_keys=True, separators=(",", ":"))
    assert key.digest == hashlib.sha256(text.encode()).hexdigest()
    assert key.preimage["record"] == Motion.fingerprint()
    assert json.loads(text) == key.preimage


@pytest.mark.parametrize(
    "change",
    [
        {"components": [{**COMPONENT, "version": "2"}]},
        {"components": [{**COMPONENT, "weights": {"base": "98" * 32}}]},
        {"components": [{**COMPONENT, "options": {"size": 4}}]},
        {"components": [COMPONENT, COMPONENT]},
        {"options": {"crop_ratio": 0.6}},
        {"options": {"crop_ratio": 0.5, "margin": 1}},
        {"input_digest": "cd" * 32},
        {"precision": "bfloat16"},
    ],
)
def test_every_part_changes_the_key(change: dict[str, Any]) -> None:
    base: dict[str, Any] = {"components": [COMPONENT]}
    assert key_of(Motion, **{**base, **change}) != key_of(Motion, **base)


def test_name_of_the_input_and_order_of_options_do_not() -> None:
    a = key_of(Motion, name="a.mp4", options={"x": 1, "y": 2})
    b = key_of(Motion, name="b.mp4", options={"y": 2, "x": 1})
    assert a == b
    assert a.digest == b.digest
    assert (a.input_name, b.input_name) == ("a.mp4", "b.mp4")


def test_record_class_and_its_schema_are_part_of_the_key() -> None:
    @attrs.frozen(eq=False)
    class Track(Record):
        points: torch.Tensor = tensor("N", 2)

    first = key_of(Track)
    Track.schema = 2
    assert key_of(Track) != first


def test_keys_are_the_same_in_another_process() -> None:
    code = (
        "from cache import CacheKey; from mmfa_components.records import Motion;"
        "print(CacheKey.of(Motion, [{'kind': 'a', 'set': {'x', 'y', 'z'}}], {'p': 0.1}, 'ab', 'n', 'float32').digest)"
    )
    mine = CacheKey.of(Motion, [{"kind": "a", "set": {"z", "x", "y"}}], {"p": 0.1}, "ab", "other", "float32").digest
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == mine


def test_options_may_be_attrs_objects_paths_enums_and_sequences() -> None:
    class Colour(enum.Enum):
        RED = "red"

    @attrs.frozen
    class Options:
        sizes: tuple[int, ...] = (1, 2)
        path: Path = Path("a/b")
        colour: Colour = Colour.RED

    plain = {"o": {"sizes": [1, 2], "path": "a/b", "colour": "red"}}
    assert key_of(Motion, options={"o": Options()}) == key_of(Motion, options=plain)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), torch.zeros(1), b"raw", {1: "a"}])
def test_what_has_no_json_form_is_refused_with_its_place(value: object) -> None:
    with pytest.raises(CacheError, match=r"options\.a\[1\]") as caught:
        key_of(Motion, options={"a": [0, value]})
    assert caught.value.fix
