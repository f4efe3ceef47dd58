"""How much better one row of the tables is than another: differences frame by frame, so that what makes clips hard drops out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from pipelines.evaluation.bootstrap import Estimate, by_group, estimate_mean
from pipelines.evaluation.ledger import Case
from pipelines.evaluation.measure import in_protocol, is_set
from pipelines.evaluation.scenes import SOURCE_REPEATED
from pipelines.evaluation.tables import PROTOCOLS, Column, Row, Table, in_order

NOTES = (
    "One row less another, frame by frame, over the frames in which both have a figure: who shows no face where he is worst gains nothing by it.",
    "better: clips whose mean difference lies on the better side. An interval that holds 0 tells no difference.",
)


def differences_table(
    cases: Sequence[Case], animators: Sequence[str], metrics: Mapping[str, Any], resamples: int, seed: int, notes: Sequence[str]
) -> Table | None:
    """Every animator less the repeated source (same-identity), and every further animator less the first one; None when there is no pair.

    Intervals are those of means over clips, as in the comparison table. Figures of sets have no differences of frames and are left out.
    """
    pairs = {"same": [(name, SOURCE_REPEATED) for name in animators], "cross": []}
    for protocol in pairs:
        pairs[protocol] += [(name, animators[0]) for name in animators[1:]]
    columns: list[Column] = []
    cells: dict[tuple[str, str], dict[tuple[str, str], Estimate | None]] = {}
    for protocol in PROTOCOLS:
        for name in in_order(metrics):
            facts = metrics[name].facts
            if is_set(metrics[name]) or not in_protocol(metrics[name], protocol):
                continue
            found = {pair: _difference(cases, protocol, pair, name, facts.higher, resamples, seed) for pair in pairs[protocol]}
            if any(found.values()):
                columns.append(Column(protocol, name, facts.title, facts.higher, facts.digits + 1, signed=True))
                for pair, cell in found.items():
                    cells.setdefault(pair, {})[protocol, name] = cell
    if not columns:
        return None
    rows = tuple(Row(f"{one} − {other}", row) for (one, other), row in cells.items())
    return Table("Differences", tuple(columns), rows, (*NOTES, *notes))


def _difference(
    cases: Sequence[Case], protocol: str, pair: tuple[str, str], key: str, higher: bool | None, resamples: int, seed: int
) -> Estimate | None:
    one, other = (
        {(c.clip, c.portrait): c.tensors[f"value/{key}"] for c in cases if (c.protocol, c.row) == (protocol, row) and f"value/{key}" in c.tensors}
        for row in pair
    )
    common = [k for k in one if k in other and len(one[k]) == len(other[k])]
    if not common:
        return None
    values = [_finite(one[k].double() - other[k].double()) for k in common]
    clips = [clip for clip, _ in common]
    estimate = estimate_mean(values, clips, resamples, seed)
    return attrs.evolve(estimate, better=_better(values, clips, higher))


def _finite(difference: Tensor) -> Tensor:
    """NaN, which means missing, where there is no finite difference: no face, or two equal images."""
    return torch.where(difference.isfinite(), difference, torch.nan)


def _better(values: Sequence[Tensor], clips: Sequence[str], higher: bool | None) -> int | None:
    """How many clips have a mean on the better side."""
    if higher is None:
        return None
    means = [float(v.nanmean()) for v in by_group(values, clips)]
    return sum(mean > 0 if higher else mean < 0 for mean in means)
