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
    """This process among ``world`` processes.

    The process group of torch is set up by whoever started them.
    """

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and talks to people."""
        return self.rank == 0

    def wrap(self, module: nn.Module, device: torch.device, some_unused: bool = False) -> nn.Module:
        """``module`` with gradients averaged over all processes.

        some_unused: there are steps in which some parameters get none.
        """
        if self.world == 1:
            return module
        devices = [device] if device.type == "cuda" else None
        return DistributedDataParallel(module, device_ids=devices, find_unused_parameters=some_unused)

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
