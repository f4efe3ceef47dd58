"""Figures of numbers, drawn by matplotlib as SVG or PNG. The only file that imports it."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pipelines.evaluation.control import MOST_LEAKAGE, SLOPE_TOLERANCE, UNITS, ControlResult
from pipelines.evaluation.schema import Control
from pipelines.evaluation.sweep import ATTRIBUTES, MEASURED, asked_values
from pipelines.evaluation.tables import Table

INK, LINE, IDEAL, GOOD, BAD = "#222222", "#2563a8", "#9a9a9a", "#1b5e20", "#8e1b12"
DARK = 0.2
"""Leakage from which a cell of the matrix is as dark as it gets."""


def control_matrix(result: ControlResult, title: str) -> Figure:
    """Which attribute was moved (rows), which changed (columns): slopes on the diagonal, leakage elsewhere."""
    figure = Figure(figsize=(8.2, 5.2), layout="constrained")
    axes = figure.subplots()
    shares = result.leakage.numpy()
    axes.imshow(np.where(np.isnan(shares), 0.0, shares), cmap="Reds", vmin=0, vmax=DARK, aspect="auto")
    for i in range(len(ATTRIBUTES)):
        for j in range(len(MEASURED)):
            if i == j:
                good = abs(float(result.slope[i]) - 1) <= SLOPE_TOLERANCE
                text, colour = f"slope\n{float(result.slope[i]):.2f}", GOOD if good else BAD
                axes.add_patch(_square(i, j))
            elif math.isnan(shares[i, j]):
                text, colour = "–", INK
            else:
                text = f"{shares[i, j]:.1%}"
                colour = "white" if shares[i, j] > 0.6 * DARK else INK
            axes.text(j, i, text, ha="center", va="center", fontsize=9, color=colour, weight="bold" if i == j else "normal")
    axes.set_xticks(range(len(MEASURED)), MEASURED)
    axes.set_yticks(range(len(ATTRIBUTES)), ATTRIBUTES)
    axes.xaxis.tick_top()
    axes.set_xlabel("changed, as a share of its own range")
    axes.set_ylabel("moved")
    targets = f"targets: slope 1 +- {SLOPE_TOLERANCE}, leakage under {MOST_LEAKAGE:.0%}"
    axes.set_title(f"{title}: control of single attributes ({result.portraits} portraits; {targets})", fontsize=10)
    axes.tick_params(length=0)
    return figure


def control_curves(result: ControlResult, control: Control, title: str) -> Figure:
    """Asked against measured, mean and standard deviation over portraits, one panel an attribute."""
    figure = Figure(figsize=(11, 5), layout="constrained")
    panels = figure.subplots(2, 4).flat
    for i, (name, values) in enumerate(asked_values(control).items()):
        axes = next(panels)
        convert = np.degrees if UNITS[name] == "degrees" else np.exp if UNITS[name] == "factor" else np.asarray
        asked, mean, deviation = values.numpy(), result.curves[i].numpy(), result.spread[i].numpy()
        axes.plot(convert(asked), convert(asked), "--", color=IDEAL, linewidth=1)
        axes.fill_between(convert(asked), convert(mean - deviation), convert(mean + deviation), color=LINE, alpha=0.2, linewidth=0)
        axes.plot(convert(asked), convert(mean), "o-", color=LINE, markersize=3)
        axes.set_title(f"{name}: slope {float(result.slope[i]):.2f}, R² {float(result.r2[i]):.2f}", fontsize=9)
        axes.set_xlabel(f"asked, {UNITS[name]}", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.25)
    for axes in panels:
        axes.axis("off")
    figure.suptitle(f"{title}: asked against measured (dashed: ideal; band: standard deviation over portraits)", fontsize=10)
    return figure


def interval_plot(table: Table) -> Figure | None:
    """The figures of a table with their intervals, one panel a column; None when there is nothing to draw."""
    columns = [c for c in table.columns if any(_finite(table, r.name, c.protocol, c.key) for r in table.rows)]
    if not columns:
        return None
    wide = min(5, len(columns))
    high = -(-len(columns) // wide)
    figure = Figure(figsize=(2.6 * wide + 1.4, (0.34 * len(table.rows) + 0.8) * high), layout="constrained")
    panels = figure.subplots(high, wide, squeeze=False)
    names = [r.name for r in table.rows]
    for number, axes in enumerate(panels.flat):
        if number >= len(columns):
            axes.axis("off")
            continue
        column = columns[number]
        for y, row in enumerate(table.rows):
            cell = row.cells.get((column.protocol, column.key))
            if cell is None or not math.isfinite(cell.value):
                continue
            low, high_end = (v if math.isfinite(v) else cell.value for v in (cell.low, cell.high))
            axes.plot([low, high_end], [y, y], color=LINE, linewidth=2, alpha=0.5)
            axes.plot(cell.value, y, "o", color=LINE, markersize=5)
        if column.signed:
            axes.axvline(0, linestyle="--", color=IDEAL, linewidth=1)
        axes.set_yticks(range(len(names)), names if number % wide == 0 else [""] * len(names), fontsize=8)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_title(" ".join(filter(None, [column.protocol, table.heading(column)])), fontsize=9)
        axes.tick_params(axis="x", labelsize=7)
        axes.grid(axis="x", alpha=0.25)
    return figure


def svg(figure: Figure) -> str:
    """A figure as an SVG element to stand in HTML."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def png(figure: Figure, dots_per_inch: int = 120) -> bytes:
    """A figure as PNG."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=dots_per_inch)
    return out.getvalue()


def _square(i: int, j: int) -> Rectangle:
    return Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor="#ecece6", edgecolor="white")


def _finite(table: Table, row: str, protocol: str, key: str) -> bool:
    cells: Sequence[object] = [r.cells.get((protocol, key)) for r in table.rows if r.name == row]
    return any(c is not None and math.isfinite(getattr(c, "value", math.nan)) for c in cells)
