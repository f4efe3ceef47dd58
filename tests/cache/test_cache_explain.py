"""Why a record was not reused, in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sample_records import key_of, make

from cache import RecordCache
from cache.explain import differences, relatives
from cache.listing import find
from mmfa_components.errors import CacheError
from mmfa_components.records import Expression, Motion

OLD, NEW = "12ab" * 16, "98cd" * 16


def component(**changes: Any) -> dict[str, Any]:
    """The mmfa animator with one part."""
    part = {"kind": "rotation_estimator", "name": "facemesh", "version": "1", "options": {"smooth": 0.1}}
    base = {"kind": "animator", "name": "mmfa", "version": "1", "options": {"size": "base"}, "weights": {"mmfa": OLD}, "parts": [part]}
    return {**base, **changes}


def part(**changes: Any) -> list[dict[str, Any]]:
    """The part, changed."""
    return [{**component()["parts"][0], **changes}]


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ({"components": [component(weights={"mmfa": NEW})]}, ["weights of animator mmfa changed: 12ab12ab12ab... -> 98cd98cd98cd..."]),
        (
            {"components": [component(weights={"mmfa": OLD, "vae": NEW})]},
            ["weights vae of animator mmfa changed: (none) -> 98cd98cd98cd..."],
        ),
        ({"components": [component(version="2")]}, ["version of animator mmfa changed: 1 -> 2"]),
        ({"components": [component(options={"size": "paper"})]}, ["option size of animator mmfa changed: base -> paper"]),
        ({"components": [component(name="fomm")]}, ["animator changed: mmfa -> fomm"]),
        (
            {"components": [component(parts=part(options={"smooth": 0.2}))]},
            ["option smooth of rotation_estimator facemesh of animator mmfa changed: 0.1 -> 0.2"],
        ),
        ({"components": [component(parts=part(name="hopenet"))]}, ["rotation_estimator of animator mmfa changed: facemesh -> hopenet"]),
        ({"components": [component(parts=[])]}, ["rotation_estimator facemesh of animator mmfa is no longer used"]),
        ({"components": [component(), {"kind": "face_detector", "name": "x"}]}, ["face_detector x is new"]),
        ({"components": [component(device_note="a")]}, ["device_note of animator mmfa changed: (none) -> a"]),
        (
            {"options": {"crop_ratio": 0.6, "margin": {"top": 1}}},
            ["option crop_ratio changed: 0.5 -> 0.6", "option margin changed: (none)"],
        ),
        ({"precision": "bfloat16"}, ["precision changed: float32 -> bfloat16"]),
        ({"input_digest": NEW}, ["content of the input changed: abababababab... -> 98cd98cd98cd..."]),
        ({}, []),
    ],
)
def test_each_difference_is_one_sentence(change: dict[str, Any], lines: list[str]) -> None:
    base: dict[str, Any] = {"components": [component()]}
    got = differences(key_of(Motion, **base).preimage, key_of(Motion, **{**base, **change}).preimage)
    assert len(got) == len(lines)
    for text, wanted in zip(got, lines, strict=True):
        assert text.startswith(wanted)


def test_schema_and_other_fields() -> None:
    old = key_of(Motion).preimage
    new = {**old, "record": "Motion/2/abc", "format": 2}
    assert differences(old, new) == (f"record schema changed: {Motion.fingerprint()} -> Motion/2/abc", "format changed: 1 -> 2")


def test_one_and_true_are_different() -> None:
    assert differences({"options": {"a": 1}}, {"options": {"a": True}}) == ("option a changed: 1 -> True",)


def test_two_components_of_a_kind_are_compared_in_order() -> None:
    two = [{"kind": "metric", "name": "psnr", "version": "1"}, {"kind": "metric", "name": "ssim", "version": "1"}]
    changed = [two[0], {**two[1], "version": "2"}]
    assert differences({"components": two}, {"components": changed}) == ("version of metric 2 ssim changed: 1 -> 2",)


def test_relatives_have_the_same_record_and_the_same_input_or_name(tmp_path: Path) -> None:
    cache = RecordCache(tmp_path)
    mine = key_of(Motion, components=[component()])
    near = key_of(Motion, components=[component(weights={"mmfa": NEW})], name="renamed.mp4")
    far = key_of(Motion, components=[component(version="2")], options={"crop_ratio": 1.0})
    edited = key_of(Motion, components=[component()], input_digest=NEW, precision="x", options={})
    stranger = key_of(Motion, name="other.mp4", input_digest=OLD)
    for key in (mine, near, far, edited, stranger):
        cache.put(key, make(Motion))
    cache.put(key_of(Expression), make(Expression))
    found = relatives(tmp_path, find(tmp_path, mine.digest))
    assert [c.other.digest for c in found] == [near.digest, far.digest, edited.digest]
    assert found[0].differences == ("weights of animator mmfa changed: 98cd98cd98cd... -> 12ab12ab12ab...",)


def test_find_needs_a_prefix_of_one_key(tmp_path: Path) -> None:
    cache = RecordCache(tmp_path)
    keys = [key_of(Motion, options={"i": i}) for i in range(17)]  # two of 17 share the first letter
    for key in keys:
        cache.put(key, make(Motion, 1))
    assert find(tmp_path, keys[3].digest[:40].upper()).digest == keys[3].digest
    letters = [k.digest[0] for k in keys]
    shared = next(x for x in letters if letters.count(x) > 1)
    with pytest.raises(CacheError, match=f"keys begin with '{shared}'"):
        find(tmp_path, shared)
    with pytest.raises(CacheError, match="no entry's key begins with ''"):
        find(tmp_path, "")
    with pytest.raises(CacheError, match="no entry's key begins with 'xyz'"):
        find(tmp_path, "xyz")
