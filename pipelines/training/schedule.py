"""The learning rate, which depends on the step alone."""

from __future__ import annotations

import math

from mmfa_components.training.options import Schedule


def learning_rate(step: int, rate: float, schedule: Schedule) -> float:
    """The learning rate of a step."""
    if step < schedule.warmup:
        return rate * (step + 1) / schedule.warmup
    if schedule.decay_to <= schedule.decay_from or step <= schedule.decay_from:
        return rate
    share = min(1.0, (step - schedule.decay_from) / (schedule.decay_to - schedule.decay_from))
    final = schedule.final_rate
    return rate * (final + (1 - final) * (1 + math.cos(math.pi * share)) / 2)
