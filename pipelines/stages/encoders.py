"""Threads that finish and encode frames beside the one that computes them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import torch

T = TypeVar("T")
PIXELS = 32_000_000
"""Most pixels of frames, one of each segment, that are encoded at a time: an encoder holds some 60
frames of its segment, so these are about 3 GB."""
MOST = 16
"""Threads, however many cores there are."""


class Feed(Generic[T]):
    """What one thread takes from another, a parcel at a time, to make one thing of it.

    take: gets every parcel, in order.  finish: gives the result at the end.
    """

    def __init__(self, take: Callable[[Any], None], finish: Callable[[], T]) -> None:
        self._take, self._finish = take, finish
        self.result: Future[T] = Future()
        self._changed = threading.Condition()
        self._parcels: deque[Any] = deque()
        self._ended = False

    def put(self, parcel: Any) -> None:
        """Hand over a parcel; waits while another one has not been taken yet.

        Raises what taking an earlier one raised.
        """
        with self._changed:
            while self._parcels and not self.result.done():
                self._changed.wait()
            self._parcels.append(parcel)
            self._changed.notify_all()
        if self.result.done():
            self.result.result()

    def end(self) -> Future[T]:
        """There are no more parcels; gives the result, once it is made."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        return self.result

    def abort(self, error: BaseException) -> None:
        """Whoever made the parcels failed: nothing is made of them."""
        with self._changed:
            if not self.result.done():
                self.result.set_exception(error)
            self._changed.notify_all()

    def run(self) -> None:
        """Take parcels until the end; errors are the result's."""
        try:
            while (parcel := self._next()) is not None:
                with torch.inference_mode():
                    self._take(parcel)
            if not self.result.done():
                made = self._finish()
                with self._changed:
                    if not self.result.done():
                        self.result.set_result(made)
        except BaseException as error:
            self.abort(error)

    def _next(self) -> Any:
        with self._changed:
            while not self._parcels and not self._ended and not self.result.done():
                self._changed.wait()
            parcel = self._parcels.popleft() if self._parcels and not self.result.done() else None
            self._changed.notify_all()
            return parcel


class Encoders:
    """A few threads, each of which makes one segment at a time; each computes with one core."""

    def __init__(self, threads: int) -> None:
        self.threads = max(1, min(MOST, threads))
        self._free = threading.Condition()
        self._busy = self._pixels = 0
        self._pool: ThreadPoolExecutor | None = None

    def feed(self, take: Callable[[Any], None], finish: Callable[[], T], pixels: int) -> Feed[T]:
        """Begin a segment of frames of so many ``pixels``; waits until a thread is free for it."""
        with self._free:
            while self._busy and (self._busy >= self.threads or self._pixels + pixels > PIXELS):
                self._free.wait()
            self._busy += 1
            self._pixels += pixels
            if self._pool is None:
                self._pool = _started(self.threads)
        feed = Feed(take, finish)

        def work() -> None:
            try:
                feed.run()
            finally:
                with self._free:
                    self._busy -= 1
                    self._pixels -= pixels
                    self._free.notify_all()

        self._pool.submit(work)
        return feed

    def close(self) -> None:
        """Wait for what is being made, and end the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)


def _started(threads: int) -> ThreadPoolExecutor:
    """Threads that compute with one core each, while the others go on with as many as before."""
    usual, met = torch.get_num_threads(), threading.Barrier(threads + 1)

    def begin() -> None:
        torch.get_num_threads()  # now this thread has a number of its own ...
        torch.set_num_threads(1)  # ... which is set here, with that of threads yet to come
        met.wait()

    pool = ThreadPoolExecutor(threads, thread_name_prefix="mmfa-encoder", initializer=begin)
    for _ in range(threads):
        pool.submit(int)  # starts a thread: all of those before wait to meet
    met.wait()
    torch.set_num_threads(usual)
    return pool
