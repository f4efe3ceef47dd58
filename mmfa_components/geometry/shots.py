"""Shots of a clip: runs of frames that one camera shows without a break."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import attrs
import torch
from torch import Tensor

from mmfa_components.geometry.track import GapFiller
from mmfa_components.records import Record

R = TypeVar("R", bound=Record)


def shot_runs(shots: Tensor | Sequence[int]) -> list[tuple[int, int]]:
    """Half-open frame ranges (start, stop) of equal numbers in ``shots`` (N,), in order."""
    numbers = torch.as_tensor(shots, dtype=torch.long)
    if not len(numbers):
        return []
    starts = [0, *((numbers[1:] != numbers[:-1]).nonzero().flatten() + 1).tolist()]
    return list(zip(starts, [*starts[1:], len(numbers)], strict=True))


@attrs.define
class ShotFiller(Generic[R]):
    """A :class:`GapFiller` that fills each shot by itself.

    A gap at the end of a shot repeats the shot's last row, one at its beginning the first one. A
    shot without any row repeats the last row before it.
    """

    filler: GapFiller[R]
    _shot: int | None = None

    def push(self, rows: R | None, present: Sequence[bool], shots: Sequence[int]) -> Iterator[R]:
        """Add a span.

        rows: the present rows only, in order; None for none.  present, shots: whether there is a
        row, and the number of the shot, for each frame.
        """
        taken = 0
        for start, stop in shot_runs(shots):
            if self._shot is not None and shots[start] != self._shot:
                yield from self.filler.cut()
            self._shot = shots[start]
            here = present[start:stop]
            count = sum(here)
            if rows is None or not count:
                self.filler.skip(stop - start)
            else:
                yield from self.filler.push(rows[taken : taken + count], here)
            taken += count

    def finish(self) -> Iterator[R]:
        """The end of the clip."""
        yield from self.filler.finish()
