"""Whether mouth and eyes of results open and close as those of the driving clip do."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import torch
from torch import Tensor

from pipelines.evaluation.bootstrap import Estimate, by_group, estimate_sums
from pipelines.evaluation.ledger import Case
from pipelines.evaluation.measure import OPENINGS
from pipelines.evaluation.tables import PROTOCOLS, Column, Row, Table

PARTS = ("mouth", "eyes")
NOTES = (
    "Opening: gap of the inner lips, and of the lids (mean of both eyes), over the height of the face mesh, in results and driving frames.",
    "Correlation: of both over all frames, each clip's mean taken out, so that clips in which little happens count little. 1 is ideal.",
    "Amplitude: slope of the result's opening over the driving frame's: the share of an opening that arrives. 1 is ideal.",
)


def following_table(cases: Sequence[Case], rows: Sequence[str], resamples: int, seed: int, notes: Sequence[str]) -> Table | None:
    """Correlation and amplitude of mouth and eyes in each protocol; None when nothing was measured. Intervals are those of clips."""
    protocols = [p for p in PROTOCOLS if any(c.protocol == p and OPENINGS in c.tensors for c in cases)]
    if not protocols:
        return None
    columns = [Column(p, f"{part} {what}", f"{part}, {what}", None, 2) for p in protocols for what in FIGURES for part in PARTS]
    made = []
    for row in rows:
        cells: dict[tuple[str, str], Estimate | None] = {}
        for protocol in protocols:
            mine = [c for c in cases if (c.protocol, c.row) == (protocol, row) and OPENINGS in c.tensors]
            for part, name in enumerate(PARTS):
                for what, found in _figures(mine, part, resamples, seed).items():
                    cells[protocol, f"{name} {what}"] = found
        made.append(Row(row, cells))
    return Table("Mouth and eyes", tuple(columns), tuple(made), (*NOTES, *notes))


def _figures(cases: Sequence[Case], part: int, resamples: int, seed: int) -> dict[str, Estimate]:
    """Each of FIGURES for one of PARTS; none without cases."""
    clips = by_group([c.tensors[OPENINGS][:, part] for c in cases], [c.clip for c in cases])
    if not clips:
        return {}
    sums, lost = torch.stack([products(clip) for clip in clips]), sum(int(clip.isnan().any(1).sum()) for clip in clips)
    seen = sum(map(len, clips)) - lost
    return {what: attrs.evolve(estimate_sums(sums, figure, resamples, seed), count=seen, missing=lost) for what, figure in FIGURES.items()}


def products(clip: Tensor) -> Tensor:
    """Of pairs (n, 2) of result and driving frame, less their means: sums of result², result x driving, driving² (3,). Rows with NaN are left out."""
    known = clip[~clip.isnan().any(1)]
    result, driving = (known - known.mean(0)).unbind(1)
    return torch.stack([(result * result).sum(), (result * driving).sum(), (driving * driving).sum()])


def correlation(sums: Tensor) -> Tensor:
    """(..., 3) of ``products`` -> (...). NaN when one of both is still."""
    return sums[..., 1] / (sums[..., 0] * sums[..., 2]).sqrt()


def amplitude(sums: Tensor) -> Tensor:
    """(..., 3) of ``products`` -> (...). NaN when the driving frames are still."""
    return sums[..., 1] / sums[..., 2]


FIGURES = {"correlation": correlation, "amplitude": amplitude}
