"""The order of work without Ray: schedule, steps, threads, and the simulation that drives the same objects."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from typing import Any

import attrs
import pytest
from disc_media import disc_plan

from mmfa_components.registry import Registry
from pipelines.engines.schedule import Schedule, Ticket
from pipelines.runs.estimate import Speeds, read_speeds, wall_time
from pipelines.runs.parallel import Once, Uses, run_steps
from pipelines.runs.plan import facts
from pipelines.runs.run import run_plan
from pipelines.runs.simulate import Model, simulate
from pipelines.runs.steps import Costs, Step, Steps


def test_idle_workers_come_first_and_each_holds_one_ahead() -> None:
    schedule = Schedule()
    schedule.join(0)
    schedule.join(1)
    tickets = [Ticket(rank=(float(i),)) for i in range(6)]
    for ticket in reversed(tickets):
        schedule.add(ticket)
    sent = schedule.assign()
    assert [t for _, t in sent] == tickets[:4]  # by rank, not by arrival
    assert [w for w, _ in sent] == [0, 1, 0, 1]
    assert schedule.waiting == 2
    schedule.finish(1, tickets[1])
    assert [(w, t) for w, t in schedule.assign()] == [(1, tickets[4])]


def test_a_sticky_ticket_has_its_worker_alone() -> None:
    schedule = Schedule()
    schedule.join(0)
    stream, first, second = Ticket(sticky=True), Ticket(), Ticket()
    schedule.add(first)
    schedule.assign()
    schedule.add(stream)
    schedule.add(second)
    assert schedule.assign() == []  # the worker is busy, and the stream is first in line
    schedule.finish(0, first)
    assert schedule.assign() == [(0, stream)]
    schedule.join(1)
    assert schedule.assign() == [(1, second)]
    schedule.finish(0, stream)
    assert schedule.idle() == [0]


def test_what_a_worker_held_comes_back_and_withdrawn_tickets_do_not_go_out() -> None:
    schedule = Schedule()
    schedule.join(0)
    a, b, c = Ticket(), Ticket(), Ticket()
    for ticket in (a, b, c):
        schedule.add(ticket)
    schedule.assign()
    assert schedule.leave(0) == [a, b]
    assert a.copies == b.copies == 0
    c.done = True
    schedule.join(1)
    assert schedule.assign() == []
    assert schedule.again(b) == 1
    assert b.copies == 1
    assert schedule.again(a) is None  # nobody is idle


def run_all(steps: Steps) -> list[Step]:
    order = []
    while steps.left:
        step = steps.next()
        assert step is not None
        order.append(step)
        steps.done(step)
    return order


def test_the_longest_chain_begins_first_and_ready_jobs_go_before_other_clips() -> None:
    clips = {"a": 100, "hour": 90000, "b": 120}
    jobs = [((k,), f) for k, f in clips.items()] + [(("a", "b"), 100), (("elsewhere",), 50)]
    order = [(s.kind, s.key) for s in run_all(Steps(clips, jobs, workers=4))]
    assert order[0] == ("clip", "hour")
    assert order[1] == ("job", 1)
    assert order[2] == ("job", 4)  # needs no clip that has to be prepared
    assert order.index(("clip", "b")) < order.index(("job", 2)) < order.index(("clip", "a"))
    assert order.index(("job", 3)) > order.index(("clip", "a"))
    assert len(order) == 8


def test_steps_run_in_threads_each_once_and_in_the_order_needed() -> None:
    steps = Steps({"a": 5, "b": 5}, [(("a",), 5), (("b",), 5), (("a", "b"), 5)])
    lock, order = threading.Lock(), []

    def work(step: Step) -> None:
        time.sleep(0.01)
        with lock:
            order.append((step.kind, step.key))

    run_steps(steps, work, 3, lambda: None)
    assert sorted(map(str, order)) == sorted(map(str, [("clip", "a"), ("clip", "b"), ("job", 0), ("job", 1), ("job", 2)]))
    assert order.index(("job", 2)) > max(order.index(("clip", "a")), order.index(("clip", "b")))


def test_an_error_of_a_thread_cancels_the_others_and_is_raised() -> None:
    cancelled = threading.Event()

    def work(step: Step) -> None:
        if step.key == 0:
            raise KeyboardInterrupt
        assert cancelled.wait(10)

    with pytest.raises(KeyboardInterrupt):
        run_steps(Steps({}, [((), 9), ((), 5), ((), 5)]), work, 2, cancelled.set)
    assert cancelled.is_set()


def test_once_makes_a_value_once_and_remembers_errors() -> None:
    made: list[int] = []
    once: Once[str, int] = Once()

    def make() -> int:
        time.sleep(0.05)
        made.append(1)
        return len(made)

    values: list[int] = []
    threads = [threading.Thread(target=lambda: values.append(once.get("x", make))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values == [1] * 4
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            once.get("bad", lambda: 1 // 0)
    once.drop("x")
    assert once.get("x", make) == 2
    uses = Uses(["x", "x"])
    assert [uses.release("x"), uses.release("x")] == [False, True]


def batch_of_thousands() -> tuple[dict[str, int], list[tuple[tuple[str, ...], int]]]:
    random_ = random.Random(0)
    clips = {f"short{i}": random_.randint(100, 500) for i in range(2000)} | {f"hour{i}": 90_000 for i in range(3)}
    return clips, [((key,), frames) for key, frames in clips.items()]


def test_eight_workers_are_busy_nine_tenths_of_the_time_with_hour_long_clips_among_thousands() -> None:
    clips, jobs = batch_of_thousands()
    costs = Costs(0.010, 0.006, 0.008)
    alone = simulate(clips, jobs, Model(costs, write=0.002, workers=1))
    eight = simulate(clips, jobs, Model(costs, write=0.002, workers=8))
    assert alone.busy == pytest.approx(eight.busy)  # the same work
    assert alone.busy == pytest.approx(sum(clips.values()) * 0.024)
    assert eight.efficiency > 0.9
    assert alone.wall / eight.wall > 0.9 * 8
    assert eight.wall >= eight.bound


def test_the_simulation_waits_for_what_has_to_be_waited_for() -> None:
    """One clip: followed on one worker, decomposed and rendered on two, writing slower than all of that."""
    costs = Costs(1.0, 0.5, 0.25)
    outcome = simulate({"c": 64 * 8}, [(("c",), 64 * 8)], Model(costs, workers=2, overhead=0.0))
    assert outcome.wall == pytest.approx(64 * 8 * (1.0 + 0.25 + 0.125))
    slow = simulate({"c": 64 * 8}, [(("c",), 64 * 8)], Model(costs, write=2.0, workers=2, overhead=0.0))
    assert slow.wall == pytest.approx(64 * 8 * (1.0 + 0.25 + 2.0) + 64 * 0.25)
    assert simulate({}, [((), 64)], Model(costs, start=5.0, workers=1, overhead=1.0)).wall == pytest.approx(5 + 64 * 0.25 + 1.0)


def test_a_plan_is_timed_by_the_speeds_of_earlier_runs(tmp_path: Path, media: Any, registry: Registry, screen: Any) -> None:
    plan = disc_plan(tmp_path, [media.red], [media.swing, media.short])
    before = facts(plan, registry)["estimate"]
    assert before["wall"] > 0
    assert "rough guess" in before["speeds"]
    assert run_plan(plan, registry, screen.console).estimate["speeds"].startswith("stand-ins")
    speeds = read_speeds(plan.pipeline)
    assert speeds.frames == 27 + 8
    assert speeds.render != Speeds().render
    assert facts(plan, registry)["estimate"] == {**before, "wall": 0.0, "jobs": 0, "speeds": facts(plan, registry)["estimate"]["speeds"]}
    again = attrs.evolve(plan, pipeline=attrs.evolve(plan.pipeline, output=attrs.evolve(plan.pipeline.output, overwrite=True)))
    after = facts(again, registry)["estimate"]
    assert "measured on 35 frames" in after["speeds"]
    report = run_plan(again, registry, screen.console)
    assert report.estimate["measured_wall"] == report.wall
    foretold = wall_time(again.pipeline, speeds, {}, [((), 27), ((), 8)], 1)  # the clips' motion is in the cache
    assert report.estimate["ratio"] == pytest.approx(report.wall / foretold, abs=1e-3)
    assert "foretold:" in screen.text
