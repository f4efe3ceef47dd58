"""Parameters and multiply-accumulates of networks, counted by torch's own operator counter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


@attrs.frozen
class SizeRow:
    """One module of a system.

    parameters: their number.  gmac: 10^9 multiply-accumulates for one image.
    per: when it runs, "portrait", "driven frame", "training" or another word of the system's.
    """

    module: str
    parameters: int
    gmac: float
    per: str


def count(network: nn.Module, run: Callable[[], Any]) -> tuple[int, float]:
    """Parameters of a network, and GMAC of one ``run`` of it.

    On the meta device nothing is computed.
    """
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        run()
    return sum(p.numel() for p in network.parameters()), counter.get_total_flops() / 2e9
