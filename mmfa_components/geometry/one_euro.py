"""The one-euro filter: steadies motion as it comes, frame by frame, without looking ahead.

Casiez, Roussel, Vogel: *1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in
Interactive Systems*, CHI 2012. What rests is held back strongly, so that it does not jitter; what
moves fast is let through, so that it does not lag.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Generic, TypeVar

import attrs

from mmfa_components.geometry.laws import RULES
from mmfa_components.records import ADDED, HELD, LINEAR, MULTIPLIED, TURNED, Law, Record

R = TypeVar("R", bound=Record)
SPEED_CUTOFF = 1.0
"""Hz, of the low-pass filter that the speed is estimated by (as in the paper)."""


@attrs.frozen
class Tuning:
    """How one field is filtered: the cutoff is ``rest + gain * speed``, in Hz.

    rest: cutoff of what does not move.  gain: Hz for each unit of speed. The unit is that of the
    field's law per second: degrees, the logarithm of a ratio, else the Euclidean norm.
    """

    rest: float
    gain: float


TUNING: Mapping[Law, Tuning] = {
    ADDED: Tuning(1.0, 15.0),
    MULTIPLIED: Tuning(1.0, 20.0),
    TURNED: Tuning(1.0, 0.15),
    LINEAR: Tuning(1.0, 15.0),
}
"""What fits poses in units of half a crop and degrees."""


class OneEuro(Generic[R]):
    """The filter of one motion: each field by its law.

    tuning: of single fields by name, over TUNING of their laws.  strength: cutoffs are divided by
    this, 0 lets everything through.
    """

    def __init__(self, tuning: Mapping[str, Tuning] | None = None, strength: float = 1.0) -> None:
        self.tuning, self.strength = dict(tuning or {}), strength
        self.last: R | None = None  # what was given out last
        self.slow: R | None = None  # low-passed at SPEED_CUTOFF: its speed is the low-passed speed
        self.seconds = 0.0

    def step(self, motion: R, seconds: float) -> R:
        """The motion (N = 1) steadied.

        seconds: when it was seen; a time that does not rise counts as a 1000th second later.
        """
        if self.last is None or self.slow is None or self.strength <= 0:
            self.last, self.slow, self.seconds = motion, motion, seconds
            return motion
        after = max(seconds - self.seconds, 1e-3)
        smooth, slow = {}, {}
        for name, law in motion.laws().items():
            now = getattr(motion, name)
            if law is HELD:
                smooth[name] = slow[name] = now
                continue
            rule, before, tuning = (
                RULES[law],
                getattr(self.slow, name),
                self.tuning.get(name, TUNING[law]),
            )
            weight = now.new_tensor([_weight(SPEED_CUTOFF, after)])
            slow[name] = rule.between(before, now, weight)
            speed = float(rule.distance(slow[name], before)) / after
            cutoff = (tuning.rest + tuning.gain * speed) / self.strength
            smooth[name] = rule.between(
                getattr(self.last, name), now, now.new_tensor([_weight(cutoff, after)])
            )
        self.last, self.slow = attrs.evolve(motion, **smooth), attrs.evolve(motion, **slow)
        self.seconds = max(seconds, self.seconds)
        return self.last

    def reset(self) -> None:
        """Forget what was seen: the next motion is let through as it is."""
        self.last = self.slow = None


def _weight(cutoff: float, seconds: float) -> float:
    """Share of the new value in a low-pass filter of ``cutoff`` Hz after ``seconds``."""
    return 1.0 / (1.0 + 1.0 / (2 * math.pi * cutoff * seconds))
