"""Progress of many pieces of work at once, on a terminal and elsewhere."""

from __future__ import annotations

import threading
from io import StringIO

import pytest
from rich.console import Console

from pipelines.runs import progress as room
from pipelines.runs.progress import ParallelProgress


def in_thread(function: object) -> None:
    thread = threading.Thread(target=function)  # type: ignore[arg-type]
    thread.start()
    thread.join()


def test_a_terminal_shows_jobs_frames_and_each_piece() -> None:
    buffer = StringIO()
    console = Console(file=buffer, force_terminal=True, width=120)
    with ParallelProgress(console, 2) as progress:
        progress.expect(40)

        def piece() -> None:
            progress.start("red.png moved by a.mp4", 20)
            progress.advance(10)

        in_thread(piece)
        progress.start("decompose b.mp4", 20)
        progress.advance(5)
        assert progress.bars is not None
        shown = {task.description.strip(): (task.completed, task.total) for task in progress.bars.tasks}
        assert shown == {"jobs": (0, 2), "frames": (15, 40), "red.png moved by a.mp4": (10, 20), "decompose b.mp4": (5, 20)}
        progress.job_done("b.mp4: 20 frames")
        assert [task.description.strip() for task in progress.bars.tasks] == ["jobs", "frames", "red.png moved by a.mp4"]
        assert progress.bars.tasks[0].completed == 1


def test_lines_elsewhere_speak_of_the_whole_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SECONDS_BETWEEN_LINES", 0.0)
    buffer = StringIO()
    with ParallelProgress(Console(file=buffer, width=200), 3) as progress:
        progress.expect(100)
        in_thread(lambda: progress.start("decompose a.mp4", 50))
        progress.start("decompose b.mp4", 50)
        progress.advance(25)
        progress.job_done("a.mp4")
    assert "0 of 3 jobs done: 25/100 frames" in buffer.getvalue()
    assert "decompose a.mp4 and 1 more" in buffer.getvalue()
    assert "[1/3] a.mp4" in buffer.getvalue()
