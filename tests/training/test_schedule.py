"""What depends on the step alone."""

import pytest

from pipelines.training.schedule import learning_rate
from plugins.mmfa.training.options import Schedule


def test_the_rate_rises_stays_and_falls() -> None:
    schedule = Schedule(warmup=10, decay_from=100, decay_to=200, final_rate=0.1)
    rates = [learning_rate(step, 1.0, schedule) for step in (0, 4, 9, 10, 100, 150, 200, 5000)]
    assert rates == pytest.approx([0.1, 0.5, 1.0, 1.0, 1.0, 0.55, 0.1, 0.1])


def test_without_decay_the_rate_stays() -> None:
    assert learning_rate(10**6, 2e-4, Schedule()) == 2e-4


def test_the_landmark_loss_comes_in_gradually() -> None:
    schedule = Schedule(landmarks_from=5, landmarks_ramp=4)
    assert [schedule.landmark_ramp(step) for step in (0, 4, 5, 6, 8, 100)] == [0.0, 0.0, 0.25, 0.5, 1.0, 1.0]
    assert Schedule(landmarks_from=7, landmarks_ramp=0).landmark_ramp(7) == 1.0
