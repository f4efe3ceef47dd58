"""Mouth and eyes of results beside those of the driving clip."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from pipelines.evaluation.following import following_table
from pipelines.evaluation.ledger import Case
from pipelines.evaluation.measure import openings_of
from pipelines.evaluation.scenes import DRIVING_ITSELF
from pipelines.evaluation.tables import Table

NAN = math.nan


def mesh(mouth: list[float], eyes: list[float]) -> Tensor:
    """Faces of 100 pixels whose mouth and eyes are open so many pixels."""
    points = torch.zeros(len(mouth), 478, 3)
    points[:, 10, 1], points[:, 152, 1] = -50, 50
    points[:, 14, 1] = torch.tensor(mouth)
    points[:, [145, 374], 1] = torch.tensor(eyes)[:, None]
    return points


def test_openings_of_both_and_nothing_where_either_shows_no_face() -> None:
    results = mesh([10.0, 20.0, 30.0], [1.0, 2.0, 3.0]), torch.tensor([True, False, True])
    driving = mesh([12.0, 22.0, 32.0], [4.0, 5.0, 6.0]), torch.tensor([True, True, False])
    found = openings_of(results, driving)
    torch.testing.assert_close(found[0], torch.tensor([[0.10, 0.12], [0.01, 0.04]]))
    assert bool(found[1:].isnan().all())
    nobody = torch.zeros(3, 0, 3), torch.zeros(3, dtype=torch.bool)  # what FaceReader gives when no image shows a face
    assert openings_of(nobody, driving).shape == (3, 2, 2)
    assert bool(openings_of(nobody, driving).isnan().all())


def case(row: str, clip: str, mouth: list[tuple[float, float]], eyes: list[tuple[float, float]], portrait: str = "") -> Case:
    """Pairs of result and driving frame."""
    tensors = {"openings": torch.stack([torch.tensor(mouth), torch.tensor(eyes)], 1)}
    return Case("cross" if portrait else "same", row, clip, portrait, tensors)


def made(cases: list[Case], rows: list[str]) -> Table:
    table = following_table(cases, rows, 300, 0, ["a note"])
    assert table is not None
    return table


def figure(table: Table, row: str, key: str, protocol: str = "same") -> Any:
    return next(r for r in table.rows if r.name == row).cells[protocol, key]


def test_correlation_and_amplitude_by_hand() -> None:
    still = [(0.3, 0.3)] * 3
    cases = [
        case("one", "a", [(0.10, 0.0), (0.15, 0.1), (0.20, 0.2)], [(0.1, 0.1), (0.2, 0.2), (NAN, 0.3)]),  # half as wide, and never quite shut
        case("one", "b", [(0.50, 0.4), (0.45, 0.3), (0.40, 0.2)], [(0.1, 0.1), (0.0, 0.2), (0.1, NAN)]),  # as wide, on another level: the mean is out
        case("one", "a", [(0.1, 0.3), (0.2, 0.1)], [(0.1, 0.1), (0.1, 0.1)], "p"),
        case(DRIVING_ITSELF, "a", still, still),
    ]
    table = made(cases, [DRIVING_ITSELF, "one"])
    mouth = figure(table, "one", "mouth amplitude")
    assert (mouth.value, mouth.low, mouth.high) == (pytest.approx(0.5), pytest.approx(0.5), pytest.approx(0.5))
    assert figure(table, "one", "mouth correlation").value == pytest.approx(1.0)
    eyes = figure(table, "one", "eyes correlation")
    assert (eyes.value, eyes.count, eyes.missing, eyes.clips) == (pytest.approx(0.0), 4, 2, 2)
    assert (eyes.low, eyes.high) == (pytest.approx(-1.0), pytest.approx(1.0))  # one clip follows, one does the opposite
    assert figure(table, "one", "mouth correlation", "cross").value == pytest.approx(-1.0)
    assert figure(table, "one", "mouth amplitude", "cross").value == pytest.approx(-0.5)
    assert math.isnan(figure(table, "one", "eyes correlation", "cross").value)  # nothing moves
    text = table.markdown()
    assert "| | Same-identity: mouth, correlation |" in text
    assert "| driving frame itself | none | none |" in text
    assert "- a note" in text


def test_the_correlation_is_that_of_all_frames_with_the_means_of_clips_taken_out() -> None:
    g = torch.Generator().manual_seed(1)
    driving = [torch.rand(n, generator=g, dtype=torch.float64) for n in (9, 5, 12)]
    results = [0.7 * d + 0.2 * torch.rand(len(d), generator=g, dtype=torch.float64) + i for i, d in enumerate(driving)]
    pairs = [[(float(r), float(d)) for r, d in zip(*both, strict=True)] for both in zip(results, driving, strict=True)]
    table = made([case("one", str(i), p, p) for i, p in enumerate(pairs)], ["one"])
    centred = [torch.cat([t - t.mean() for t in side]) for side in (results, driving)]
    expected = torch.corrcoef(torch.stack(centred))[0, 1]
    found = figure(table, "one", "mouth correlation")
    assert found.value == pytest.approx(float(expected), abs=1e-6)
    assert found.low < found.value < found.high


def test_without_figures_there_is_no_table() -> None:
    assert following_table([Case("temporal", "one", "a", "", {})], ["one"], 100, 0, []) is None
