"""Tables from cases, in all three forms, and the figures and pictures of the report."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import attrs
import pytest
import torch
from PIL import Image
from torch import Tensor

from mmfa_components.kinds import MetricFacts
from mmfa_components.metrics.frechet import frechet_distance
from pipelines.evaluation.figures import interval_plot, svg
from pipelines.evaluation.ledger import Case, Ledger
from pipelines.evaluation.measure import Instruments, is_set
from pipelines.evaluation.remember import Labelled
from pipelines.evaluation.scenes import DRIVING_ITSELF, SOURCE_REPEATED, Scene
from pipelines.evaluation.steadiness import breathing, jitter
from pipelines.evaluation.strips import scene_strip, worst_first
from pipelines.evaluation.tables import Table, comparison_table, in_order, steadiness_table


@attrs.frozen
class Pair:
    """A metric of pairs that only has to be described."""

    facts: MetricFacts


@attrs.frozen
class OfSets(Pair):
    """A metric of sets."""

    def distance(self, results: Tensor, references: Tensor) -> float:
        return frechet_distance(results, references)


METRICS: dict[str, Any] = {
    "psnr": Pair(MetricFacts("PSNR", "by hand", "0 up", "none", True, 2)),
    "apd": Pair(MetricFacts("APD", "pose", "0 up", "a | network (stands in)", False, 3, "driving")),
    "fid": OfSets(MetricFacts("FD-X", "distance", "0 up", "X", False, 1, "source")),
}


def case(row: str, clip: str, protocol: str, psnr: list[float], shift: float = 0.0) -> Case:
    g = torch.Generator().manual_seed(len(clip))
    features = torch.randn(len(psnr), 3, generator=g)
    tensors = {
        "value/psnr": torch.tensor(psnr), "value/apd": torch.tensor(psnr) / 100, "results/fid": features + shift,
        "references/fid": features if protocol == "same" else torch.tensor([[float(len(clip)), 0.0, 0.0]]),
        "face": torch.tensor(psnr) > 5, "reference_face": torch.ones(len(psnr), dtype=torch.bool),
    }  # fmt: skip
    if protocol == "cross":
        del tensors["value/psnr"]
    return Case(protocol, row, clip, "p" if protocol == "cross" else "", tensors)


@pytest.fixture(scope="module")
def table() -> Table:
    cases = [
        *(case(DRIVING_ITSELF, clip, "same", [float("inf"), float("inf")]) for clip in ("a", "bb")),
        case("one", "a", "same", [20.0, 22.0]), case("one", "bb", "same", [24.0, 4.0], 1.0),
        case("two", "a", "same", [30.0, 30.0]), case("two", "bb", "same", [31.0, 33.0]),
        case("one", "a", "cross", [10.0, 12.0]), case("one", "bb", "cross", [14.0, 16.0]),
    ]  # fmt: skip
    return comparison_table(cases, [SOURCE_REPEATED, DRIVING_ITSELF, "one", "two"], METRICS, 200, 0, ["a note"], "a title")


def test_columns_are_those_of_each_protocol(table: Table) -> None:
    got = [(c.protocol, c.title) for c in table.columns]
    per_frame = ["PSNR", "APD", "FD-X", "no face, %"]
    assert got == [*(("same", title) for title in per_frame), *(("cross", title) for title in per_frame[1:])]


def test_markdown(table: Table) -> None:
    text = table.markdown()
    lines = text.splitlines()
    assert "Same-identity: PSNR ↑" in lines[2]
    rows = {line.split("|")[1].strip(): line for line in lines if line.startswith("|")}
    assert "∞" in rows[DRIVING_ITSELF]
    assert "| - |" in rows[SOURCE_REPEATED]
    assert "17.50 [" in rows["one"]
    assert "**31.00" in rows["two"]  # the better of two animators; the reference row does not compete
    assert "25.0 [" in rows["one"]  # one of four results shows no face
    assert "- a note" in text
    assert "- APD: pose. Range: 0 up. Lower is better. Backbone: a | network (stands in). Cross-identity: compared with the driving frame." in text


def test_csv_and_plain_data(table: Table) -> None:
    rows = list(csv.DictReader(io.StringIO(table.csv())))
    one = next(r for r in rows if r["row"] == "one" and r["metric"] == "PSNR")
    assert float(one["value"]) == pytest.approx(17.5)
    assert float(one["low"]) <= 17.5 <= float(one["high"])
    assert one["clips"] == "2"
    plain = json.loads(json.dumps(table.plain(), allow_nan=False))
    figures = {r["name"]: r["figures"] for r in plain["rows"]}
    assert figures[DRIVING_ITSELF]["same/psnr"]["value"] == "inf"
    assert figures["two"]["same/fid"]["value"] == pytest.approx(0.0, abs=1e-6)
    assert figures["one"]["same/fid"]["value"] > 0.5


def test_interval_plot_draws_every_column(table: Table) -> None:
    figure = interval_plot(table)
    assert figure is not None
    text = svg(figure)
    assert text.startswith("<svg")
    assert "http-equiv" not in text
    assert len([a for a in figure.axes if a.axison]) == len(table.columns)


def test_a_metric_under_a_label_is_the_metric_and_stands_behind_it() -> None:
    fid, csim = METRICS["fid"], Pair(MetricFacts("CSIM", "cosine", "-1 to 1", "some network", True))
    metrics = {"fid:X": Labelled(fid, "X"), "mine": METRICS["psnr"], "fid": fid, "csim:Y": Labelled(csim, "Y"), "psnr": METRICS["psnr"]}
    assert in_order(metrics) == ["csim:Y", "psnr", "fid:X", "fid", "mine"]
    assert (metrics["fid:X"].facts.title, metrics["fid:X"].facts.backbone) == ("FD-X, X", "X")
    assert (is_set(metrics["fid:X"]), is_set(metrics["csim:Y"])) == (True, False)
    features = torch.arange(12.0).view(4, 3)
    assert metrics["fid:X"].distance(features, features + 1) == fid.distance(features, features + 1)
    read: Any = None
    assert Instruments(metrics, read, read, torch.device("cpu")).csim is metrics["csim:Y"]  # control measures identity with it
    assert Instruments(METRICS, read, read, torch.device("cpu")).csim is None


def test_steadiness_of_known_motion() -> None:
    time = torch.arange(8.0)
    uniform = torch.stack([3 * time, -time], 1)[:, None].expand(8, 68, 2)
    torch.testing.assert_close(jitter(uniform), torch.zeros(6))
    falling = torch.stack([0 * time, time.square()], 1)[:, None].expand(8, 68, 2)
    torch.testing.assert_close(jitter(falling), torch.full((6,), 2.0))
    pose = torch.zeros(8, 6)
    pose[::2, 5] = 0.01
    torch.testing.assert_close(breathing(pose), torch.full((6,), 2.0))
    lost = uniform.clone()
    lost[0] = torch.nan
    assert jitter(lost).isnan().tolist() == [True, *[False] * 5]


def test_steadiness_beside_the_clips_own() -> None:
    def made(row: str, jitters: list[float]) -> Case:
        return Case("temporal", row, "a", "", {"value/jitter": torch.tensor(jitters), "value/breathing": torch.tensor(jitters) / 10})

    table = steadiness_table([made(DRIVING_ITSELF, [0.2, 0.4]), made("one", [0.6, 0.6])], [DRIVING_ITSELF, "one"], 200, 0, [])
    cells = {r.name: [table.text(r, c, interval=False) for c in table.columns] for r in table.rows}
    assert cells == {DRIVING_ITSELF: ["0.300", "1.00", "0.030", "1.00"], "one": ["0.600", "2.00", "0.060", "2.00"]}


def test_worst_cases_first_and_lost_faces_before_all() -> None:
    cases = [case("one", "good", "same", [30.0, 31.0]), case("one", "lost", "same", [40.0, 1.0]), case("one", "bad", "same", [12.0, 10.0])]
    assert [c.clip for c in worst_first(cases, "psnr", higher=True)] == ["lost", "bad", "good"]


def test_a_strip_ends_with_the_worst_frame() -> None:
    colours = torch.linspace(0, 1, 9).view(9, 1, 1, 1).expand(9, 3, 256, 256)
    scene = Scene(torch.zeros(1, 3, 256, 256), torch.ones(9, 3, 256, 256), colours, tuple(range(9)))
    value = torch.zeros(9)
    value[6] = torch.nan  # no face
    jpeg = scene_strip(scene, value)
    picture = Image.open(io.BytesIO(jpeg.numpy().tobytes()))
    assert picture.size == (5 * 112, 2 * 112)
    assert picture.getpixel((4 * 112 + 56, 112 + 56))[0] == pytest.approx(255 * 6 / 8, abs=4)  # type: ignore[index]


def test_the_ledger_gives_back_what_was_put_and_survives_damage(tmp_path: Any) -> None:
    ledger = Ledger(tmp_path / "parts")
    key = ledger.key({"frames": (1, 2), "options": {"a": 1.5}})
    assert ledger.get(key) is None
    put = case("one", "a", "same", [20.0, 22.0])
    ledger.put(key, put)
    got = ledger.get(key)
    assert got is not None
    assert (got.row, got.clip, got.name) == ("one", "a", "a")
    torch.testing.assert_close(got.tensors, put.tensors)
    assert key != ledger.key({"frames": (1, 3), "options": {"a": 1.5}})
    file = next((tmp_path / "parts").glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:40])
    assert ledger.get(key) is None
