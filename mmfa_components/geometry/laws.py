"""The laws of motion as functions: five for each law of :mod:`mmfa_components.records.laws`, all differentiable."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
import torch
from torch import Tensor

from mmfa_components.geometry.rotations import geodesic_degrees, nearest_rotation, slerp
from mmfa_components.records.laws import ADDED, HELD, LINEAR, MULTIPLIED, TURNED, Law


@attrs.frozen
class Rule:
    """What a law means for values (N, ...).

    carried: (source, driving, reference) -> the source changed as the driving value changed from its reference.
    between: (left, right, weight (N,)) -> ``weight`` of the way from left to right; weights beyond 0 and 1 go on beyond the ends.
    averaged: (values, radius) -> a centred triangular mean over ``2 radius + 1`` rows; see :func:`window_mean`.
    distance: (first, second) -> (N,) >= 0; degrees for TURNED, the logarithm of the ratio for MULTIPLIED, else the Euclidean norm.
    neutral: like -> the value that changes nothing, in the shape of ``like``.
    """

    carried: Callable[[Tensor, Tensor, Tensor], Tensor]
    between: Callable[[Tensor, Tensor, Tensor], Tensor]
    averaged: Callable[[Tensor, int], Tensor]
    distance: Callable[[Tensor, Tensor], Tensor]
    neutral: Callable[[Tensor], Tensor]


def window_mean(values: Tensor, radius: int) -> Tensor:
    """A centred average (triangular window of ``2 radius + 1`` rows) of values (N, ...) along the first axis: steadier, without lag.

    At the ends the window shrinks evenly on both sides, so a straight line stays that line. ``radius`` 0 returns the values themselves.
    """
    frames = len(values)
    if radius <= 0 or frames < 3:
        return values
    index = torch.arange(frames, device=values.device)
    reach = torch.minimum(torch.minimum(index, frames - 1 - index), torch.full_like(index, radius))  # (N,)
    total = torch.zeros_like(values)
    weights = torch.zeros(frames, device=values.device, dtype=values.dtype)
    for offset in range(-radius, radius + 1):
        weight = (reach + 1 - abs(offset)).clamp_min(0).to(values)  # (N,)
        other = (index + offset).clamp(0, frames - 1)
        total = total + _per_row(weight, values) * values[other]
        weights = weights + weight
    return total / _per_row(weights, values)


def _per_row(weight: Tensor, values: Tensor) -> Tensor:
    """Weights (N,) so that they multiply the rows of values (N, ...)."""
    return weight.to(values).view(-1, *[1] * (values.dim() - 1))


def _straight(left: Tensor, right: Tensor, weight: Tensor) -> Tensor:
    return torch.lerp(left, right, _per_row(weight, left))


def _flat(values: Tensor) -> Tensor:
    """Values (N, ...) as (N, M)."""
    return values.flatten(1) if values.dim() > 1 else values[:, None]


def _apart(first: Tensor, second: Tensor) -> Tensor:
    distance: Tensor = _flat(first - second).norm(dim=1)
    return distance


def _identity(like: Tensor) -> Tensor:
    return torch.eye(like.shape[-2], like.shape[-1], dtype=like.dtype, device=like.device).expand_as(like)


def _mean_rotation(values: Tensor, radius: int) -> Tensor:
    return nearest_rotation(window_mean(values, radius)) if radius > 0 else values


def _geometric_mean(values: Tensor, radius: int) -> Tensor:
    return window_mean(values.log(), radius).exp() if radius > 0 else values


RULES: Mapping[Law, Rule] = {
    ADDED: Rule(lambda s, d, r: s + d - r, _straight, window_mean, _apart, torch.zeros_like),
    MULTIPLIED: Rule(
        lambda s, d, r: s * d / r,
        lambda left, right, weight: left * (right / left) ** _per_row(weight, left),
        _geometric_mean,
        lambda a, b: _flat((a / b).log()).norm(dim=1),
        torch.ones_like,
    ),
    TURNED: Rule(
        lambda s, d, r: d @ r.transpose(-1, -2) @ s,
        lambda left, right, weight: slerp(left, right, weight.to(left).view(-1, *[1] * (left.dim() - 3))),
        _mean_rotation,
        lambda a, b: _flat(geodesic_degrees(a, b)).mean(1),
        _identity,
    ),
    LINEAR: Rule(lambda s, d, r: d @ torch.linalg.inv(r) @ s, _straight, window_mean, _apart, _identity),
    HELD: Rule(
        lambda s, d, r: s,
        lambda left, right, weight: left,
        lambda values, radius: values,
        lambda a, b: _flat(a != b).any(1).float(),
        lambda like: like,
    ),
}
"""The rule of each law."""
