"""What depends on the step alone: learning rate, which losses are in, and the random numbers of a step."""

from __future__ import annotations

import hashlib
import math

import torch

from pipelines.training.schema import Schedule


def learning_rate(step: int, rate: float, schedule: Schedule) -> float:
    """The learning rate of a step."""
    if step < schedule.warmup:
        return rate * (step + 1) / schedule.warmup
    if schedule.decay_to <= schedule.decay_from or step <= schedule.decay_from:
        return rate
    share = min(1.0, (step - schedule.decay_from) / (schedule.decay_to - schedule.decay_from))
    return rate * (schedule.final_rate + (1 - schedule.final_rate) * (1 + math.cos(math.pi * share)) / 2)


def landmark_ramp(step: int, schedule: Schedule) -> float:
    """Factor of the landmark loss, 0 to 1."""
    if step < schedule.landmarks_from:
        return 0.0
    return min(1.0, (step - schedule.landmarks_from + 1) / max(1, schedule.landmarks_ramp))


def step_generator(seed: int, step: int, attempt: int = 0) -> torch.Generator:
    """The random numbers of a step, on the CPU: a function of seed, step and attempt alone, so that a run goes on exactly where it was."""
    digest = hashlib.sha256(f"{seed}/{step}/{attempt}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
