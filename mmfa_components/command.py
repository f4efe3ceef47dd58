"""What every command line of MMFA does around its work: exit codes, errors without tracebacks, Ctrl-C, a reader that has gone."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import traceback
from collections.abc import Callable

from mmfa_components.errors import MMFAError

BAD_INPUT, PROGRAM_FAULT, INTERRUPTED = 2, 70, 130
EXIT_CODES = "exit codes: 0 all is well, 1 something failed, 2 bad configuration or input, 70 fault of the program, 130 interrupted"


def guarded(work: Callable[[], int], interrupted: str = "interrupted", unread: int = 0) -> int:
    """Run ``work`` and return its exit code; no exception leaves it but SystemExit. Names that are no text are shown escaped.

    interrupted: said after Ctrl-C.  unread: exit code when the reader of the output goes before its end, as in ``... | head``.
    """
    for stream in (sys.stdout, sys.stderr):  # a file's name need not be text, nor text the terminal knows
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = work()
        sys.stdout.flush()
        return code
    except MMFAError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return unread
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # as rich ends the program then
            return unread
        raise
    except Exception as error:  # a fault of ours: short message, details in a file
        print(f"error: unexpected {type(error).__name__}: {error}", file=sys.stderr)
        print(f"  -> this is a fault of the program; finished results are kept. {_keep_traceback()}", file=sys.stderr)
        return PROGRAM_FAULT


def _keep_traceback() -> str:
    try:
        with tempfile.NamedTemporaryFile("w", prefix="mmfa-traceback-", suffix=".txt", delete=False, encoding="utf-8") as file:
            traceback.print_exc(file=file)
        return f"The full traceback is in {file.name}"
    except OSError:
        return "The full traceback could not be written:\n" + traceback.format_exc()
