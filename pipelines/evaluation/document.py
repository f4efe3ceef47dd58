"""The report as one HTML file with everything inside it, and the control tables as Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup

from pipelines.evaluation import figures
from pipelines.evaluation.cases import judge
from pipelines.evaluation.control import UNITS, ControlResult
from pipelines.evaluation.ledger import Case
from pipelines.evaluation.schema import Control, EvaluatePlan
from pipelines.evaluation.strips import data_uri, worst_first
from pipelines.evaluation.sweep import ATTRIBUTES, MEASURED
from pipelines.evaluation.tables import PROTOCOLS, Table

TEMPLATE = "report.html"
CONTROL_NOTES = (
    "Moved: one attribute of the portrait's own motion, all others left as they are. Measured on the results by the face mesh and a fit of the "
    "canonical face (not by the animator), relative to the portrait rendered unmoved.",
    "Slope and R²: of measured against asked, each portrait's mean taken out; ideal 1 and 1. In brackets: 95 % bootstrap interval over portraits.",
    "Leakage: mean absolute change of each other attribute at the ends of the sweep, as a share of the width of that attribute's own sweep; "
    "the measuring network's noise counts as leakage. Identity: 1 - CSIM with the unmoved result (0 same, 1 a stranger).",
    "x, y: place of the canonical face's origin, inside the head, in half crop sides; another centre of rotation shows up as leakage of angles "
    "into x and y. Expression: strength of a clip's expression added to the portrait's; measured is the share of the clip's own change of "
    "landmarks (head pose taken out) that is found in the result.",
)


def html_report(plan: EvaluatePlan, report: Any, cases: list[Case], metrics: Mapping[str, Any]) -> str:
    """One self-contained HTML page: tables with intervals, figures, control, worst cases and samples, failures, settings."""
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=select_autoescape(["html"]), trim_blocks=True, lstrip_blocks=True)
    tables = [{"table": t, "groups": _groups(t), "figure": _svg(figures.interval_plot(t))} for t in report.tables]
    control = [
        {
            "name": name, "result": result, "rows": control_rows(result), "matrix": _svg(figures.control_matrix(result, name)),
            "curves": _svg(figures.control_curves(result, plan.pipeline.control, name)),
            "strips": _control_strips(cases, name, plan.pipeline.output.worst),
        }
        for name, result in report.control.items()
    ]  # fmt: skip
    return environment.get_template(TEMPLATE).render(
        report=report, plan=plan, tables=tables, control=control, pictures=_pictures(plan, cases, metrics), measured=MEASURED, notes=CONTROL_NOTES,
        attributes=ATTRIBUTES, made=f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
    )  # fmt: skip


def control_rows(result: ControlResult) -> list[dict[str, Any]]:
    """The control table row by row, as text."""
    rows = []
    for i, name in enumerate(ATTRIBUTES):
        leaks = [None if math.isnan(v) else v for v in (float(x) for x in result.leakage[i])]
        slope = f"{float(result.slope[i]):.2f} [{float(result.slope_low[i]):.2f}, {float(result.slope_high[i]):.2f}]"
        rows.append({"name": name, "unit": UNITS[name], "slope": slope, "r2": f"{float(result.r2[i]):.3f}", "leaks": leaks})
    return rows


def control_pictures(control: Mapping[str, ControlResult], options: Control) -> dict[str, bytes]:
    """The matrix and the curves of every animator as PNG files by name."""
    made = {}
    for name, result in control.items():
        plain = "".join(c if c.isalnum() else "_" for c in name)
        made[f"control_matrix_{plain}.png"] = figures.png(figures.control_matrix(result, name))
        made[f"control_curves_{plain}.png"] = figures.png(figures.control_curves(result, options, name))
    return made


def control_markdown(control: Mapping[str, ControlResult], options: Control) -> list[str]:
    """The control tables and targets of all animators in Markdown."""
    parts = []
    for name, result in control.items():
        head = f"**Control, {name}** ({result.portraits} portraits, {options.steps} steps; {result.lost} of {result.results} results show no face)"
        lines = [head, "", "| moved | slope | R² | " + " | ".join(f"into {m}" for m in MEASURED) + " |", "|---|---:|---:|" + "---:|" * len(MEASURED)]
        for row in control_rows(result):
            leaks = " | ".join("–" if v is None else f"{v:.1%}" for v in row["leaks"])
            lines.append(f"| {row['name']} | {row['slope']} | {row['r2']} | {leaks} |")
        lines += ["", "| target | wanted | measured | |", "|---|---|---|---|"]
        lines += [f"| {t.what} | {t.wanted} | {t.measured} | {'pass' if t.met else '**fail**'} |" for t in result.targets]
        parts.append("\n".join([*lines, "", *(f"- {note}" for note in CONTROL_NOTES)]) + "\n")
    return parts


def _groups(table: Table) -> list[tuple[str, int]]:
    """Headings over columns of one protocol, with their widths."""
    groups: list[tuple[str, int]] = []
    for column in table.columns:
        title = PROTOCOLS.get(column.protocol, "")
        if groups and groups[-1][0] == title:
            groups[-1] = (title, groups[-1][1] + 1)
        else:
            groups.append((title, 1))
    return groups


def _pictures(plan: EvaluatePlan, cases: list[Case], metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Worst and typical cases of every animator and protocol, with strips."""
    found = []
    for candidate in plan.pipeline.animators:
        for protocol in PROTOCOLS:
            mine = [c for c in cases if c.row == candidate.title and c.protocol == protocol and "strip" in c.tensors]
            name = judge(protocol, metrics)
            if not mine or not name or not plan.pipeline.output.worst:
                continue
            ordered = worst_first(mine, name, metrics[name].facts.higher)
            worst = ordered[: plan.pipeline.output.worst]
            rest = ordered[len(worst) :]
            typical = rest[:: max(1, -(-len(rest) // plan.pipeline.output.worst))][: plan.pipeline.output.worst]
            for title, chosen in (("worst", worst), ("from bad to good", typical)):
                strips = [{"name": _short(c), "text": _figures(c, metrics), "uri": data_uri(c.tensors["strip"])} for c in chosen]
                if strips:
                    by = metrics[name].facts.title
                    found.append({"title": f"{candidate.title}, {PROTOCOLS[protocol].lower()}: {title} by {by}", "strips": strips})
    return found


def _control_strips(cases: list[Case], row: str, count: int) -> list[dict[str, Any]]:
    """Sweeps of portraits, those that follow their sweeps least first."""

    def miss(case: Case) -> float:
        measured = case.tensors["measured"]
        return -float(measured.isnan().float().mean()) or float(measured[:6, -1].diagonal().abs().nansum())

    mine = sorted((c for c in cases if c.row == row and c.protocol == "control" and "strip" in c.tensors), key=miss)
    return [{"name": Path(c.portrait).name, "uri": data_uri(c.tensors["strip"])} for c in mine[:count]]


def _short(case: Case) -> str:
    return " moved by ".join(Path(p).name for p in (case.portrait, case.clip) if p)


def _figures(case: Case, metrics: Mapping[str, Any]) -> str:
    texts = []
    for name, metric in metrics.items():
        values = case.tensors.get(f"value/{name}")
        if values is not None:
            seen = values[~values.isnan()]
            texts.append(f"{metric.facts.title} " + (f"{float(seen.mean()):.{metric.facts.digits}f}" if len(seen) else "none"))
    lost = int((~case.tensors["face"]).sum())
    return ", ".join(texts) + (f"; no face in {lost} of {len(case.tensors['face'])} results" if lost else "")


def _svg(figure: Any) -> Markup:
    return Markup("" if figure is None else figures.svg(figure))
