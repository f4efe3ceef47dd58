"""Several steps of a batch in flight at once: one thread each, which waits for workers and writes files."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from pipelines.engines.schedule import RANK
from pipelines.runs.steps import Step, Steps

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Once(Generic[K, V]):
    """Values made once each, however many threads ask for them; an error is remembered and raised to everyone who asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[K, Future[V]] = {}

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value of ``key``, made now when nobody has asked before. Raises what ``make`` raised."""
        with self._lock:
            known = self._known.get(key)
            mine = known is None
            if known is None:
                known = self._known[key] = Future()
        if mine:
            try:
                known.set_result(make())
            except BaseException as error:
                known.set_exception(error)
                if not isinstance(error, Exception):
                    raise
        return known.result()

    def drop(self, key: K) -> None:
        """Forget a value that nobody needs any more."""
        with self._lock:
            self._known.pop(key, None)


class Uses(Generic[K]):
    """How many are still going to use something. ``release`` says whether this was the last use."""

    def __init__(self, keys: list[K]) -> None:
        self._lock = threading.Lock()
        self._left = Counter(keys)

    def release(self, key: K) -> bool:
        """One use less; True when none is left."""
        with self._lock:
            self._left[key] -= 1
            return self._left[key] <= 0


def run_steps(steps: Steps, work: Callable[[Step], None], threads: int, cancel: Callable[[], None]) -> None:
    """Run all steps, ``threads`` at a time. ``work`` deals with its own errors.

    KeyboardInterrupt in the calling thread (and any other error of ``work``) calls ``cancel``, which has to make running work end
    soon, and is raised again when all threads have ended.
    """
    condition = threading.Condition()
    faults: list[BaseException] = []

    def loop() -> None:
        while True:
            with condition:
                while (step := steps.next()) is None:
                    if faults or not steps.left:
                        return
                    condition.wait()
                if faults:
                    return
            token = RANK.set(step.rank)
            try:
                work(step)
            except BaseException as error:
                with condition:
                    faults.append(error)
                    condition.notify_all()
                return
            finally:
                RANK.reset(token)
            with condition:
                steps.done(step)
                condition.notify_all()

    running = [threading.Thread(target=loop, name=f"mmfa-step-{i}", daemon=True) for i in range(min(threads, max(1, steps.left)))]
    for thread in running:
        thread.start()
    try:
        _join(running, faults)
    except BaseException as error:
        with condition:
            faults.insert(0, error)
            condition.notify_all()
    if faults:
        cancel()
        with condition:
            condition.notify_all()
        for thread in running:
            thread.join(timeout=60)
        raise faults[0]


def _join(threads: list[Any], faults: list[BaseException]) -> None:
    """Wait, so that a signal is seen soon."""
    while not faults and any(thread.is_alive() for thread in threads):
        for thread in threads:
            thread.join(timeout=0.1)
            if faults:
                return
