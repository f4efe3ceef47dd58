"""Tables of estimates, in the layout of the paper's Table 1, as Markdown, CSV and plain data."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from mmfa_components.kinds import MetricFacts
from pipelines.evaluation.bootstrap import Estimate, estimate_mean, estimate_set
from pipelines.evaluation.ledger import Case
from pipelines.evaluation.measure import in_protocol, is_set
from pipelines.evaluation.scenes import REFERENCES
from pipelines.evaluation.schema import split_label

ORDER = ("lpips", "csim", "psnr", "ssim", "apd", "akd", "aed", "fid")
"""Metrics in the paper's order; others follow."""
PROTOCOLS = {"same": "Same-identity", "cross": "Cross-identity"}


@attrs.frozen
class Column:
    """One column: where it was measured, what tables say of it. signed: its figures are differences."""

    protocol: str
    key: str
    title: str
    higher: bool | None
    digits: int
    signed: bool = False


@attrs.frozen
class Row:
    """One row: its figures by (protocol, key), None where there is none."""

    name: str
    cells: Mapping[tuple[str, str], Estimate | None]


@attrs.frozen
class Table:
    """A table with its title, columns, rows and footnotes."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    def text(self, row: Row, column: Column, interval: bool = True) -> str:
        """A cell as people read it."""
        cell = row.cells.get((column.protocol, column.key))
        return "-" if cell is None else shown(cell, column.digits, interval, column.signed)

    def best(self, column: Column) -> str:
        """The row with the best figure of a column among the animators, "" when there is only one of them."""
        figures = {r.name: c.value for r in self.rows if r.name not in REFERENCES and (c := r.cells.get((column.protocol, column.key)))}
        figures = {name: value for name, value in figures.items() if not math.isnan(value)}
        if len(figures) < 2 or column.higher is None or column.signed:
            return ""
        return (max if column.higher else min)(figures, key=lambda name: figures[name])

    def heading(self, column: Column) -> str:
        """A column's heading with the direction that is better."""
        arrow = {True: " ↑", False: " ↓", None: ""}[column.higher]
        return column.title + arrow

    def markdown(self) -> str:
        """The table in Markdown, the best of several animators in bold, footnotes below."""
        groups = [PROTOCOLS.get(c.protocol, c.protocol) for c in self.columns]
        heads = [f"{g}: {self.heading(c)}" if g else self.heading(c) for g, c in zip(groups, self.columns, strict=True)]
        lines = [f"**{self.title}**", "", "| | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
        for row in self.rows:
            cells = []
            for column in self.columns:
                text = self.text(row, column)
                cells.append(f"**{text}**" if row.name == self.best(column) else text)
            lines.append(f"| {row.name.replace('|', chr(92) + '|')} | " + " | ".join(cells) + " |")
        return "\n".join([*lines, "", *(f"- {note}" for note in self.notes)]) + "\n"

    def csv(self) -> str:
        """One line a cell: table, row, protocol, metric, value, low, high, count, missing, clips, better."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["table", "row", "protocol", "metric", "value", "low", "high", "count", "missing", "clips", "better"])
        for row in self.rows:
            for column in self.columns:
                cell = row.cells.get((column.protocol, column.key))
                if cell is not None:
                    head = [self.title, row.name, column.protocol, column.title]
                    writer.writerow([*head, cell.value, cell.low, cell.high, cell.count, cell.missing, cell.clips, cell.better])
        return out.getvalue()

    def plain(self) -> dict[str, Any]:
        """As plain data; figures that are no finite numbers as text."""
        rows = []
        for row in self.rows:
            cells = {}
            for column in self.columns:
                cell = row.cells.get((column.protocol, column.key))
                if cell is not None:
                    key = f"{column.protocol}/{column.key}" if column.protocol else column.key
                    cells[key] = {k: _plain(v) for k, v in attrs.asdict(cell).items()}
            rows.append({"name": row.name, "figures": cells})
        return {"title": self.title, "columns": [attrs.asdict(c) for c in self.columns], "rows": rows, "notes": list(self.notes)}


def shown(cell: Estimate, digits: int, interval: bool, signed: bool = False) -> str:
    """``22.90 [22.10, 23.40]``, of differences ``+0.40 [+0.10, +0.70], 31 of 40 better``."""
    text = _figure(cell.value, digits, signed)
    if not interval or cell.clips < 2 or cell.low == cell.high or not math.isfinite(cell.value):
        return text
    better = "" if cell.better is None else f", {cell.better} of {cell.clips} better"
    return f"{text} [{_figure(cell.low, digits, signed)}, {_figure(cell.high, digits, signed)}]{better}"


def in_order(metrics: Mapping[str, Any]) -> list[str]:
    """Names of metrics as they stand in tables: the paper's order, then the others, those of one component as they were named."""
    place = {name: at for at, name in enumerate(ORDER)}
    return sorted(metrics, key=lambda name: place.get(split_label(name)[0], len(ORDER)))


def comparison_table(
    cases: Sequence[Case], rows: Sequence[str], metrics: Mapping[str, Any], resamples: int, seed: int, notes: Sequence[str], title: str
) -> Table:
    """The table of the same- and cross-identity protocols from their cases."""
    names = in_order(metrics)
    made = [p for p in PROTOCOLS if any(c.protocol == p for c in cases)]
    columns: list[Column] = []
    for protocol in made:
        for name in names:
            if in_protocol(metrics[name], protocol):
                facts = metrics[name].facts
                columns.append(Column(protocol, name, facts.title, facts.higher, facts.digits))
        columns.append(Column(protocol, "no face", "no face, %", False, 1))
    table_rows = [
        Row(name, {(c.protocol, c.key): _cell([k for k in cases if k.row == name and k.protocol == c.protocol], c.key, metrics, resamples, seed)
                   for c in columns})
        for name in rows
    ]  # fmt: skip
    feet = [footnote(metrics[n].facts, made) for n in names]
    return Table(title, tuple(columns), tuple(table_rows), (*notes, *feet))


def steadiness_table(cases: Sequence[Case], rows: Sequence[str], resamples: int, seed: int, notes: Sequence[str]) -> Table:
    """The table of the steadiness protocol. Intervals are those of clips."""
    columns = (
        Column("", "jitter", "jitter, px/frame²", False, 3), Column("", "jitter ratio", "times the clip's own", False, 2),
        Column("", "breathing", "breathing, %/frame²", False, 3), Column("", "breathing ratio", "times the clip's own ", False, 2),
    )  # fmt: skip
    made = []
    own: dict[str, Estimate | None] = {}
    for name in rows:
        mine = [c for c in cases if c.row == name]
        cells: dict[tuple[str, str], Estimate | None] = {}
        for key in ("jitter", "breathing"):
            cell = _cell(mine, key, {}, resamples, seed)
            own.setdefault(key, cell)
            first = own[key]
            cells["", key] = cell
            times = cell.value / first.value if cell is not None and first is not None and first.value > 0 else math.nan
            cells["", f"{key} ratio"] = Estimate(times, times, times, 1)
        made.append(Row(name, cells))
    return Table("Steadiness", columns, tuple(made), tuple(notes))


def footnote(facts: MetricFacts, protocols: Sequence[str]) -> str:
    """What a table says of a metric below it."""
    against = {"source": "the source portrait", "driving": "the driving frame"}.get(facts.cross)
    cross = f" Cross-identity: compared with {against}." if against and "cross" in protocols else ""
    better = "Higher" if facts.higher else "Lower"
    return f"{facts.title}: {facts.definition}. Range: {facts.range}. {better} is better. Backbone: {facts.backbone}.{cross}"


def _cell(cases: Sequence[Case], key: str, metrics: Mapping[str, Any], resamples: int, seed: int) -> Estimate | None:
    groups = [c.clip for c in cases]
    if not cases:
        return None
    if key == "no face":
        return estimate_mean([100.0 * (~c.tensors["face"]).float() for c in cases], groups, resamples, seed)
    if key in metrics and is_set(metrics[key]):
        results, references = ([c.tensors[f"{side}/{key}"] for c in cases] for side in ("results", "references"))
        if sum(map(len, results)) < 2:
            return None
        return estimate_set(results, references, groups, metrics[key].distance, resamples, seed)
    values = [c.tensors[f"value/{key}"] for c in cases if f"value/{key}" in c.tensors]
    return estimate_mean(values, groups, resamples, seed) if len(values) == len(cases) else None


def _figure(value: float, digits: int, signed: bool = False) -> str:
    if math.isnan(value):
        return "none"
    return "∞" if math.isinf(value) else f"{value:{'+' if signed else ''}.{digits}f}"


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
