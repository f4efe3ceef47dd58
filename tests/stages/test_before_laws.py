"""What was made before fields had laws (tests/data/before_laws, written by main at 4d85e63) is still valid."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import attrs
import pytest
import torch
from disc_face import disc_registry
from safetensors.torch import load_file

from cache import CacheKey, open_cache
from cache.motion_file import MotionFile, RecordRows
from mmfa_components.records import HEAD, Motion, Record, RegionalMotion
from pipelines.config.schema import Engine, Face, Job, Part, Pipeline, Transfer
from pipelines.runs.job_keys import job_key
from pipelines.runs.sheet import choose_moments
from pipelines.stages.components import Facts, build_components
from pipelines.stages.transfer import find_reference

KEPT = Path(__file__).parents[1] / "data" / "before_laws"
NUMBERS = load_file(KEPT / "numbers.safetensors")
KEYS = json.loads((KEPT / "keys.json").read_text(encoding="utf-8"))
ANIMATOR = {"kind": "animator", "name": "mmfa", "version": "3", "options": {}, "weights": {"mmfa_base": "0" * 64}}


def before(name: str) -> Motion:
    return Motion(**{field: NUMBERS[f"{name}/{field}"] for field in Motion.tensor_fields()})


def same(given: Record, wanted: Record) -> None:
    assert all(torch.equal(getattr(given, name), value) for name, value in wanted.tensors().items())


def test_motion_files_are_read() -> None:
    plain = MotionFile(KEPT / "plain.motion.zip")
    assert plain.record is Motion
    assert plain.kind is HEAD
    same(plain.read(0, 5), before("driving"))
    assert plain.pts(0, 5).tolist() == [0, 3, 7, 8, 12]
    regional = MotionFile(KEPT / "regional.motion.zip")
    assert regional.record is RegionalMotion
    same(regional.read(0, 5).plain(Motion), before("driving"))


def test_cache_entries_are_found_under_the_same_key(tmp_path: Path) -> None:
    shutil.copytree(KEPT / "kept", tmp_path / "cache")
    key = CacheKey.of(Motion, [ANIMATOR], {"select": "largest"}, "ab" * 32, "clip.mp4")
    assert key.digest == KEYS["cache"]
    stored = open_cache(str(tmp_path / "cache"), "read", {}, pytest.fail).open(key)
    assert stored is not None
    same(stored.read(0, 5), before("driving"))


def test_results_are_known_by_what_is_asked_and_not_by_how_it_is_written() -> None:
    pipeline = Pipeline(animator=Part("disc"), face=Face(Part("disc"), Part("disc")), engine=Engine(device="cpu", precision="float32"))
    facts: Facts = build_components(pipeline, disc_registry()).facts
    job = Job(Path("a.png"), Path("b.mp4"), Path("o.mp4"))

    def key(transfer: Transfer) -> str:
        return job_key(attrs.evolve(pipeline, transfer=transfer), job, facts, "aa", "bb")

    plain = job_key(pipeline, job, facts, "aa", "bb")
    assert key(Transfer(fields=dict.fromkeys(HEAD.fields, "relative"))) == plain
    absolute = key(Transfer(reference=3, fields={"rotation": "absolute"}))
    amplified = key(Transfer(amount={"rotation": 1.5}))
    assert len({plain, absolute, amplified}) == 3


def test_entries_of_the_cache_are_recognised() -> None:
    pipeline = Pipeline(animator=Part("disc"), face=Face(Part("disc"), Part("disc")), engine=Engine(device="cpu", precision="float32"))
    facts: Facts = build_components(pipeline, disc_registry()).facts
    assert CacheKey.of(facts.motion.record, facts.all(), {"select": "largest"}, "cc").digest == KEYS["track key"]


def test_reference_and_moments_are_those_of_before() -> None:
    long = RecordRows(before("long"))
    assert find_reference(long, None, "auto", "x", HEAD) == int(NUMBERS["reference_of_long"])
    assert choose_moments(long, 4, HEAD) == NUMBERS["moments_of_long"].tolist()
