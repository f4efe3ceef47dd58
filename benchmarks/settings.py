"""A benchmark's settings one after the other, each in a process of its own: one that fails or hangs costs its own row, not the others'."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]
ROOT = Path(__file__).parents[1]
LAST_WORDS = 1500
"""Characters of a failed setting's errors that are kept."""
GRACE = 15.0
"""Seconds a setting that takes too long is given to end."""


def run_settings(
    module: str, shared: Sequence[str], settings: Sequence[tuple[Sequence[str], Mapping[str, str]]], *, facts: Row, limit: float,
    complete: Callable[[Row, list[Row]], Row], out: Path | None,
) -> list[Row]:  # fmt: skip
    """Run ``python -m module`` with the ``shared`` arguments and each setting's own ones and environment; gives a row for each.

    limit: seconds a setting may take.  complete: adds to a row what follows from it and the rows before.  A row is printed as soon as it
    is known, and ``out`` is written anew with ``facts`` and all rows so far. A setting that fails gives a row with
    ``error``, and all it said stays beside ``out``.
    """
    rows: list[Row] = []
    for arguments, environment in settings:
        print(f"measuring {' '.join(arguments)}", file=sys.stderr, flush=True)
        log = out.with_name(f"{out.stem}_failed_{len(rows)}.log") if out is not None else None
        if log is not None:
            log.unlink(missing_ok=True)  # of a run before
        with _ended_in_order():
            row = in_child(module, [*shared, *arguments], environment, limit, log)
        rows.append(complete(row, rows))
        print(json.dumps(rows[-1]), flush=True)
        if out is not None:
            out.write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    return rows


def in_child(module: str, arguments: Sequence[str], environment: Mapping[str, str], limit: float, keep: Path | None = None) -> Row:
    """What ``python -m module arguments --row FILE`` writes to FILE as JSON, or {"error": its last words}; ``keep``: where all of them go."""
    with tempfile.TemporaryDirectory(prefix="mmfa-bench-") as folder:
        row, said = Path(folder) / "row.json", Path(folder) / "said.txt"
        command = [sys.executable, "-m", module, *arguments, "--row", str(row)]
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]  # for Ray's processes, wherever this was started
        variables = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment}
        begun = time.monotonic()
        with said.open("wb") as log:
            child = subprocess.Popen(command, env=variables, stdout=log, stderr=log, start_new_session=True)
            try:
                status = child.wait(limit)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                _end(child)
        seconds = round(time.monotonic() - begun, 1)
        if status == 0:
            found: Row = json.loads(row.read_text(encoding="utf-8"))
            return {**found, "whole_setting_s": seconds}
        why = f"took longer than {limit:g} s" if status is None else f"ended with status {status}"
        text = said.read_text(encoding="utf-8", errors="replace").strip()
        if keep is not None:
            keep.write_text(text + "\n", encoding="utf-8")
        return {"arguments": list(arguments), "error": f"{why}: {text[-LAST_WORDS:]}", "whole_setting_s": seconds}


@contextlib.contextmanager
def _ended_in_order() -> Iterator[None]:
    """SIGTERM inside the block ends this process as an exception does: the child, which has a session of its own, does not live on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child that still runs, then whatever is left of its process group."""
    if child.poll() is None:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def write_row(path: Path, row: Row) -> None:
    """What a child leaves for its parent."""
    path.write_text(json.dumps(row), encoding="utf-8")
