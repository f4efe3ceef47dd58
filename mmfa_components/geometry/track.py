"""Filling gaps of a sequence, and naming runs of its frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import attrs
import torch
from torch import Tensor

from mmfa_components.geometry.transfer import between
from mmfa_components.records import Record

R = TypeVar("R", bound=Record)


@attrs.define
class GapFiller(Generic[R]):
    """Fills missing rows of a framewise sequence that arrives span by span; holds one row, whatever the length of a gap.

    A gap of at most ``max_gap`` rows between two present ones is interpolated (:func:`between`). Longer gaps repeat the last
    present row, a gap at the start the first one, a gap at the end the last one. ``mark(rows, interpolated)`` may change filled rows.
    """

    max_gap: int
    mark: Callable[[R, bool], R] = attrs.field(default=lambda rows, interpolated: rows)
    block: int = 64
    _last: R | None = None
    _missing: int = 0
    _before: R | None = None  # the last present row before the last break

    def push(self, rows: R, present: Sequence[bool]) -> Iterator[R]:
        """Add a span: ``rows`` hold the present rows only, in order. Yields filled rows, in order, as soon as they are known."""
        taken = start = 0
        for here in [*present, None]:
            if here:
                if self._missing:
                    yield from self._close(rows[taken : taken + 1])
                taken += 1
            else:
                if taken > start:
                    yield rows[start:taken]
                    self._last, start = rows[taken - 1 : taken], taken
                if here is False:
                    self._missing += 1

    def skip(self, count: int) -> None:
        """Add ``count`` missing rows."""
        self._missing += count

    def cut(self) -> Iterator[R]:
        """A break: nothing is interpolated across it. Yields what is missing before it."""
        yield from self.finish()
        if self._last is not None:
            self._before, self._last = self._last, None

    def finish(self) -> Iterator[R]:
        """End of the sequence: the last present row repeated over a trailing gap (nothing when no row ever was present)."""
        row = self._before if self._last is None else self._last
        if row is not None:
            yield from self._repeat(row)

    def _close(self, row: R) -> Iterator[R]:
        if self._last is not None and self._missing <= self.max_gap:
            weight = torch.arange(1, self._missing + 1, device=row.device, dtype=torch.float32) / (self._missing + 1)
            self._missing = 0
            yield self.mark(between(self._last, row, weight), True)
        else:
            yield from self._repeat(row if self._last is None else self._last)

    def _repeat(self, row: R) -> Iterator[R]:
        while self._missing:
            count = min(self._missing, self.block)
            self._missing -= count
            yield self.mark(row[torch.zeros(count, dtype=torch.long, device=row.device)], False)


def bridged(found: Tensor, max_gap: int) -> Tensor:
    """Where a face was found or its gap is short enough to bridge: (N,) bool from ``found`` (N,) bool.

    Gaps at the start or the end of the clip have nothing to bridge to and stay False.
    """
    usable = found.clone()
    for start, stop in runs(~found):
        if start > 0 and stop < len(found) and stop - start <= max_gap:
            usable[start:stop] = True
    return usable


def runs(flags: Tensor) -> list[tuple[int, int]]:
    """Runs of True in ``flags`` (N,) as half-open (start, stop) frame ranges."""
    edges = torch.diff(flags.to(torch.int8), prepend=flags.new_zeros(1).to(torch.int8), append=flags.new_zeros(1).to(torch.int8))
    return list(zip((edges == 1).nonzero().flatten().tolist(), (edges == -1).nonzero().flatten().tolist(), strict=True))


def ranges_of(flags: Tensor) -> list[str]:
    """Runs of True in ``flags`` (N,) as text, both ends included: ``["3", "10-14"]``."""
    return [str(start) if stop - start == 1 else f"{start}-{stop - 1}" for start, stop in runs(flags)]
