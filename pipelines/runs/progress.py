"""Progress for people: bars with frames/s and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType

import attrs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

SECONDS_BETWEEN_LINES = 5.0


@attrs.frozen
class Step:
    """Where a run is. text: the piece of work at hand.  count: its frames done.  total: its frames, None when not known.

    seconds: since it began.  line: a message that was printed just now, else "".
    """

    text: str
    count: int
    total: int | None
    seconds: float
    line: str = ""


_WATCHER: ContextVar[Callable[[Step], None] | None] = ContextVar("watcher", default=None)


@contextmanager
def watched(watcher: Callable[[Step], None]) -> Iterator[None]:
    """Tell ``watcher`` every step of the runs that begin inside the block, from whichever thread it is made.

    A watcher that raises KeyboardInterrupt ends the run as Ctrl-C does: in good order, finished results kept.
    """
    token = _WATCHER.set(watcher)
    try:
        yield
    finally:
        _WATCHER.reset(token)


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        unit = task.fields.get("unit", "")
        return Text(f"{task.speed:.1f} {unit}/s" if unit and task.speed else "", style="cyan")


class Progress:
    """One bar for the batch (jobs), one for the clip at hand (frames). ``advance`` may be called from any thread."""

    def __init__(self, console: Console, jobs: int) -> None:
        self.console, self.jobs, self.finished = console, jobs, 0
        self.watcher = _WATCHER.get()
        self.bars: Bars | None = None
        if console.is_terminal:
            columns = (
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Speed(), TextColumn("left"), TimeRemainingColumn()
            )  # fmt: skip
            self.bars = Bars(*columns, console=console)
            self.batch = self.bars.add_task("jobs", total=jobs, unit="")
            self.clip = self.bars.add_task("", total=None, unit="frames", visible=False)
        self.start("", None)

    def __enter__(self) -> Progress:
        if self.bars:
            self.bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.bars:
            self.bars.stop()

    def start(self, text: str, frames: int | None) -> None:
        """A new piece of work on ``frames`` frames (None: not known)."""
        self.text, self.total, self.count = text, frames, 0
        self.since = self.last_line = time.monotonic()
        if self.bars:
            self.bars.reset(self.clip, description=text, total=frames, visible=bool(text))
        self._tell()

    def advance(self, frames: int) -> None:
        """``frames`` more are done."""
        self.count += frames
        if self.bars:
            self.bars.update(self.clip, advance=frames)
        elif time.monotonic() - self.last_line >= SECONDS_BETWEEN_LINES:
            self.last_line = time.monotonic()
            self.console.print(self._line(), highlight=False, markup=False, soft_wrap=True)
        self._tell()

    def job_done(self, line: str) -> None:
        """A job is finished, skipped or failed."""
        self.finished += 1
        if self.bars:
            self.bars.update(self.batch, completed=self.finished)
        self.say(f"[{self.finished}/{self.jobs}] {line}")

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)
        self._tell(line)

    def _tell(self, line: str = "") -> None:
        if self.watcher is not None:
            self.watcher(Step(self.text, self.count, self.total, time.monotonic() - self.since, line))

    def expect(self, frames: int) -> None:
        """Frames of work in the whole batch, for those who show it."""

    def _line(self) -> str:
        speed = self.count / max(time.monotonic() - self.since, 1e-6)
        total = f"/{self.total}" if self.total else ""
        left = f", {(self.total - self.count) / speed:.0f} s left" if self.total and speed and self.total >= self.count else ""
        return f"  {self.text}: {self.count}{total} frames, {speed:.1f} frames/s{left} (job {min(self.finished + 1, self.jobs)} of {self.jobs})"


MOST_BARS = 12


class ParallelProgress(Progress):
    """For several pieces of work at once, each in a thread of its own: a bar for the jobs, one for all frames, and one a piece.

    Elsewhere than on a terminal, lines about the whole batch. ``start`` and ``advance`` speak of the calling thread's piece.
    """

    def __init__(self, console: Console, jobs: int) -> None:
        self._lock = threading.RLock()
        self._own = threading.local()
        self._shown: set[int] = set()
        self._pieces: dict[int, str] = {}
        self.frames, self.expected = 0, 0
        super().__init__(console, jobs)
        self.begun = self.last_line = time.monotonic()
        if self.bars:
            self.bars.update(self.clip, description="frames", visible=True)

    def start(self, text: str, frames: int | None) -> None:
        """The calling thread goes on to a new piece of work; "" to none."""
        with self._lock:
            me = threading.get_ident()
            self._pieces.pop(me, None)
            if text:
                self._pieces[me] = text
            old = getattr(self._own, "bar", None)
            self._own.bar = None
            if not self.bars:
                return
            if old is not None:
                self.bars.remove_task(old)
                self._shown.discard(old)
            if text and len(self._shown) < MOST_BARS:
                self._own.bar = self.bars.add_task(f"  {text}", total=frames, unit="frames")
                self._shown.add(self._own.bar)

    def expect(self, frames: int) -> None:
        """See Progress."""
        self.expected = frames
        if self.bars:
            self.bars.update(self.clip, total=frames)

    def advance(self, frames: int) -> None:
        """See Progress."""
        with self._lock:
            self.frames += frames
            if self.bars:
                self.bars.update(self.clip, advance=frames)
                if (bar := getattr(self._own, "bar", None)) is not None:
                    self.bars.update(bar, advance=frames)
            elif time.monotonic() - self.last_line >= SECONDS_BETWEEN_LINES:
                self.last_line = time.monotonic()
                self.console.print(self._line(), highlight=False, markup=False, soft_wrap=True)

    def job_done(self, line: str) -> None:
        """See Progress."""
        with self._lock:
            self.start("", None)
            super().job_done(line)

    def _line(self) -> str:
        speed = self.frames / max(time.monotonic() - self.begun, 1e-6)
        total = f"/{self.expected}" if self.expected else ""
        rest = self.expected - self.frames
        left = f", {rest / speed:.0f} s left" if rest > 0 and speed else ""
        working = next(iter(self._pieces.values()), "")
        more = f" and {len(self._pieces) - 1} more" if len(self._pieces) > 1 else ""
        jobs = f"{self.finished} of {self.jobs} jobs done"
        return f"  {jobs}: {self.frames}{total} frames, {speed:.1f} frames/s{left}; {working}{more}"
