"""Differences between rows of the evaluation's tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from test_tables import METRICS

from pipelines.evaluation.differences import differences_table
from pipelines.evaluation.ledger import Case
from pipelines.evaluation.scenes import DRIVING_ITSELF, SOURCE_REPEATED
from pipelines.evaluation.tables import Table

NAN, INF = float("nan"), float("inf")


def case(row: str, clip: str, values: Mapping[str, list[float]], portrait: str = "") -> Case:
    tensors = {f"value/{key}": torch.tensor(figures) for key, figures in values.items()}
    return Case("cross" if portrait else "same", row, clip, portrait, tensors)


def made(cases: list[Case], animators: list[str]) -> Table:
    table = differences_table(cases, animators, METRICS, 200, 0, ["a note"])
    assert table is not None
    return table


def figure(table: Table, row: str, protocol: str, key: str) -> Any:
    return next(r for r in table.rows if r.name == row).cells[protocol, key]


def test_differences_by_hand_over_the_frames_that_both_have() -> None:
    cases = [
        case(SOURCE_REPEATED, "a", {"psnr": [20.0, 21.0], "apd": [0.5, 0.1]}), case(SOURCE_REPEATED, "b", {"psnr": [30.0, INF], "apd": [0.2, 0.2]}),
        case("one", "a", {"psnr": [23.0, 22.0], "apd": [0.3, NAN]}), case("one", "b", {"psnr": [29.0, 40.0], "apd": [0.2, 0.4]}),
        case(DRIVING_ITSELF, "a", {"psnr": [INF, INF], "apd": [0.0, 0.0]}),
    ]  # fmt: skip
    table = made(cases, ["one"])
    assert [r.name for r in table.rows] == ["one − source repeated"]
    psnr, apd = (figure(table, "one − source repeated", "same", key) for key in ("psnr", "apd"))
    assert (psnr.value, psnr.count, psnr.missing, psnr.clips, psnr.better) == (pytest.approx((2.0 - 1.0) / 2), 3, 1, 2, 1)
    assert (psnr.low, psnr.high) == (pytest.approx(-1.0), pytest.approx(2.0))
    assert (apd.value, apd.missing, apd.better) == (pytest.approx((-0.2 + 0.1) / 2), 1, 1)  # lower is better, and b is worse
    text = table.markdown()
    assert "| one − source repeated | +0.500 [-1.000, +2.000], 1 of 2 better | -0.0500 [-0.2000, +0.1000], 1 of 2 better |" in text
    assert "FD-X" not in text  # of sets
    assert "- a note" in text


def test_further_animators_are_held_against_the_first_across_people_too() -> None:
    cases = [
        case("one", "a", {"psnr": [20.0]}), case("two", "a", {"psnr": [22.0]}), case("three", "a", {"psnr": [19.0]}),
        case("one", "a", {"apd": [0.3]}, "p"), case("two", "a", {"apd": [0.2]}, "p"), case("two", "a", {"apd": [9.0]}, "not of one"),
    ]  # fmt: skip
    table = made(cases, ["one", "two", "three"])
    assert [(c.protocol, c.key) for c in table.columns] == [("same", "psnr"), ("cross", "apd")]
    assert figure(table, "two − one", "same", "psnr").value == pytest.approx(2.0)
    assert figure(table, "three − one", "same", "psnr").better == 0
    assert figure(table, "two − one", "cross", "apd").value == pytest.approx(-0.1)
    assert figure(table, "three − one", "cross", "apd") is None
    assert "**" not in table.markdown().split("\n", 1)[1]  # no row is the best of differences
    assert table.csv().splitlines()[0].endswith(",clips,better")
    assert ",1,1" in next(line for line in table.csv().splitlines() if "two − one,same" in line)


def test_without_a_pair_there_is_no_table() -> None:
    assert differences_table([case("one", "a", {"psnr": [20.0]})], ["one"], METRICS, 200, 0, []) is None
    other_frames = [case(SOURCE_REPEATED, "a", {"psnr": [20.0, 21.0]}), case("one", "a", {"psnr": [20.0]})]
    assert differences_table(other_frames, ["one"], METRICS, 200, 0, []) is None
