"""The processes that train together, one or many."""

from __future__ import annotations

from typing import TypeVar

import attrs
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

M = TypeVar("M", bound=nn.Module)


@attrs.frozen
class Group:
    """This process among ``world`` processes; the process group of torch is set up by whoever started them."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and talks to people."""
        return self.rank == 0

    def wrap(self, module: nn.Module, device: torch.device) -> nn.Module:
        """``module`` with gradients averaged over all processes."""
        if self.world == 1:
            return module
        return DistributedDataParallel(module, device_ids=[device] if device.type == "cuda" else None)

    def mean(self, values: Tensor) -> Tensor:
        """The mean of a tensor over all processes."""
        if self.world > 1:
            values = values.clone()
            distributed.all_reduce(values)
            values /= self.world
        return values

    def agree(self, flag: bool, device: torch.device) -> bool:
        """What the first process says."""
        if self.world == 1:
            return flag
        told = torch.tensor([float(flag)], device=device)
        distributed.broadcast(told, 0)
        return bool(told.item())
