"""Frames to learn from: clips of faces with their labels, and batches of pairs of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import attrs
import torch
from torch import Tensor

from mmfa_components.training.labels import IMAGE, Rows

Images = Callable[[Tensor], Tensor]
"""Frame numbers (B,) -> images (B, 3, S, S) uint8."""


@attrs.frozen(eq=False)
class Pairs:
    """A batch of B image pairs of one person each.

    source, driving: rows by the name of their label, as the labels hand them over; IMAGE holds the
    pictures (B, 3, S, S), float in [0, 1].
    """

    source: Rows
    driving: Rows

    def __len__(self) -> int:
        return len(self.source[IMAGE])


@attrs.frozen(eq=False)
class InMemory:
    """Images held as one tensor (T, 3, S, S) uint8 on any device."""

    rgb: Tensor

    def __call__(self, index: Tensor) -> Tensor:
        """Images of frame numbers."""
        return self.rgb[index.to(self.rgb.device)]


@attrs.frozen(eq=False)
class FaceClips:
    """All frames of one split of a data set, numbered through.

    images: reads frames by number.
    labels: rows of all frames (T, ...) by name, in pixels of the crops.
    starts, lengths: (C,) first frame and length of every clip, on the CPU; clips of one frame are
        single portraits.
    """

    images: Images
    labels: Mapping[str, Tensor]
    starts: Tensor
    lengths: Tensor

    def __len__(self) -> int:
        return int(self.lengths.sum())

    def frames(self, index: Tensor) -> dict[str, Tensor]:
        """The rows of frames (B,), pictures among them as uint8."""
        found = {IMAGE: self.images(index)}
        for name, rows in self.labels.items():
            found[name] = rows[index.to(rows.device)]
        return found

    @classmethod
    def join(cls, parts: Iterable[Mapping[str, Tensor]], device: torch.device | str = "cpu") -> FaceClips:
        """Join clips in memory, each given as its rows by name, IMAGE as (n, 3, S, S) uint8."""
        parts = list(parts)
        lengths = torch.tensor([len(part[IMAGE]) for part in parts])
        rows = {name: torch.cat([part[name] for part in parts]).to(device) for name in parts[0]}
        image = rows.pop(IMAGE)
        return cls(InMemory(image), rows, lengths.cumsum(0) - lengths, lengths)
