"""Keyframed curves: values at times, with easing between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs
import torch
from attrs.validators import in_
from torch import Tensor

from mmfa_components.errors import RecordError

EASES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda u: u,
    "in": lambda u: u * u,
    "out": lambda u: u * (2 - u),
    "in_out": lambda u: u * u * (3 - 2 * u),
    "hold": torch.zeros_like,
}
"""Share of the way (0 to 1) to the next key, as a function of the share of the time: "in" starts slowly, "out" ends slowly."""


@attrs.frozen
class Key:
    """A value at a time in seconds; ``ease`` says how the curve goes from here to the next key ("hold": stays, then jumps)."""

    time: float
    value: float
    ease: str = attrs.field(default="linear", validator=in_(tuple(EASES)))


def curve(keys: Sequence[Key], times: Tensor) -> Tensor:
    """The curve through ``keys`` at ``times`` (N,) in seconds, in the dtype of ``times``; constant before the first and after the last key.

    Raises RecordError as :func:`curve_of` does.
    """
    at = times.new_tensor([k.time for k in keys])
    return curve_of(at, times.new_tensor([k.value for k in keys]), [k.ease for k in keys], times)


def curve_of(at: Tensor, values: Tensor, eases: Sequence[str], times: Tensor) -> Tensor:
    """The curve (N,) at ``times`` (N,) through ``values`` (M,) at ``at`` (M,) seconds, strictly rising. Differentiable in values and times.

    Raises RecordError when there is no key, the key times do not rise, or an easing is not known.
    """
    count = len(at)
    if not count or not len(values) == len(eases) == count:
        what = f"a curve needs keys, each with time, value and ease; got {count}, {len(values)}, {len(eases)}"
        raise RecordError(what, where="curve", fix="give at least one key")
    if bool((at[1:] <= at[:-1]).any()):
        raise RecordError("the times of the keys do not rise", where="curve", fix="order the keys by time, no two at the same time")
    unknown = [e for e in eases if e not in EASES]
    if unknown:
        raise RecordError(f"no easing is called {unknown[0]!r}", where="curve", fix=f"known: {', '.join(EASES)}")
    left = (torch.searchsorted(at, times.detach(), right=True) - 1).clamp(0, count - 1)  # (N,)
    right = (left + 1).clamp(max=count - 1)
    share = ((times - at[left]) / (at[right] - at[left]).clamp_min(1e-12)).clamp(0, 1)
    eased = torch.zeros_like(share)
    for name in dict.fromkeys(eases):
        of_name = torch.tensor([e == name for e in eases], device=times.device)[left]
        eased = torch.where(of_name, EASES[name](share), eased)
    return values[left] + eased * (values[right] - values[left])
