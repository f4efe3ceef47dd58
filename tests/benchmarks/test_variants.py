"""Variants: what a file may say, and a comparison of two tiny ones that goes on where it stopped."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import attrs
import pytest
from rich.console import Console
from tiny_training import PIPELINE, judges, pipeline, use_tiny_preset, write_dataset

from benchmarks.variants import compare, read_variants
from mmfa_components.errors import ConfigError
from plugins.mmfa.sizes import size_table

SHIPPED = Path(__file__).parents[2] / "benchmarks" / "variants.toml"


def test_the_shipped_variants_stay_within_the_limits_of_base() -> None:
    from plugins.mmfa import presets

    variants = read_variants(SHIPPED, PIPELINE())
    assert variants[0].pipeline.losses == PIPELINE().losses
    for variant in variants:
        presets.PRESETS[variant.name] = presets.preset_of(variant.sizes)
        rows = size_table(variant.name)
        if variant.name != "base":
            del presets.PRESETS[variant.name]
        assert sum(r.parameters for r in rows if r.per in ("portrait", "driven frame")) < 12e6, variant.name
        changed = variant.sizes != attrs.evolve(variants[0].sizes, name=variant.name)
        assert changed or variant.pipeline != attrs.evolve(variants[0].pipeline, model=variant.pipeline.model) or variant.name == "base"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[variant]]\nsizes = { keypoint = 3 }", "did you mean 'keypoints'"),
        ("[[variant]]\nloses = { guide = 3 }", "did you mean 'losses'"),
        ("[[variant]]\nlosses = { guide = -3.0 }", "'guide' must be >= 0"),
        ("[[variant]]\nname = 'a'\n[[variant]]\nname = 'a'", "one name"),
        ("a = 1", r"holds no \[\[variant\]\] tables"),
        ("a =", r"v\.toml"),
    ],
)
def test_faults_are_named(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "v.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        read_variants(file, PIPELINE())


def test_variants_are_trained_alike_and_only_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_tiny_preset()
    data = write_dataset(tmp_path / "data")
    file = tmp_path / "v.toml"
    file.write_text('[[variant]]\nname = "one"\n[[variant]]\nname = "two"\nsizes = { expression = 12 }\n', encoding="utf-8")
    variants = read_variants(file, pipeline(tmp_path, data, steps=3))
    text = StringIO()
    rows = compare(variants, tmp_path, Console(file=text, width=200), judges())
    assert [r["variant"] for r in rows] == ["one", "two"]
    assert [r["pairs"] for r in rows] == [12, 12]
    assert rows[1]["parameters"] > rows[0]["parameters"]
    assert all(r["psnr"] > 0 for r in rows)
    assert "| two |" in (tmp_path / "variants.md").read_text()
    assert json.loads((tmp_path / "variants.json").read_text()) == rows
    (tmp_path / "two" / "result.json").unlink()
    first = (tmp_path / "one" / "checkpoint.pt").stat().st_mtime_ns
    again = compare(variants, tmp_path, Console(file=text, width=200), judges())
    assert [r["psnr"] for r in again] == [r["psnr"] for r in rows]
    assert (tmp_path / "one" / "checkpoint.pt").stat().st_mtime_ns == first
