"""``python -m pipelines.run FILE.toml``: run a pipeline, show what it would do, or list the pipelines there are.

Exit codes: 0 all is well, 1 some job failed, 2 bad configuration, 70 a fault of the program, 130 interrupted by Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmfa_components.errors import ConfigError, MMFAError
from pipelines.catalogue import find_pipeline, list_pipelines

WIDTH = 160  # where the output is no terminal
BAD_CONFIGURATION, PROGRAM_FAULT, INTERRUPTED = 2, 70, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; no exception leaves it."""
    options = _parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):  # a file's name need not be text, nor text the terminal knows
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    errors = _console(stderr=True)
    try:
        code = _command(options)
        sys.stdout.flush()
        return code
    except MMFAError as error:
        errors.print(f"error: {error}", markup=False)
        return BAD_CONFIGURATION
    except KeyboardInterrupt:
        errors.print("interrupted: finished results are kept; run the same command again to go on")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as in `... | head`
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # a fault of ours: short message, details in a file
        place = _keep_traceback()
        errors.print(f"error: unexpected {type(error).__name__}: {error}", markup=False)
        errors.print(f"  -> this is a fault of the program; finished results are kept. {place}", markup=False)
        return PROGRAM_FAULT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.run",
        description="Run a pipeline file.",
        epilog="exit codes: 0 all is well, 1 some job failed, 2 bad configuration, 70 fault of the program, 130 interrupted",
    )
    parser.add_argument("pipeline", nargs="?", metavar="FILE.toml|NAME", help="a pipeline file, or the name of one that --list shows")
    help_set = "change a value: output.quality=20"
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help=help_set)
    parser.add_argument("--dry-run", action="store_true", help="check everything and show the plan; compute nothing")
    parser.add_argument("--list", nargs="?", const="", metavar="FOLDER", help="name the pipelines, with what they do")
    parser.add_argument("--json", action="store_true", help="print the list, the plan or the run report as JSON (progress goes to stderr)")
    return parser


def _command(options: argparse.Namespace) -> int:
    if options.list is not None:
        return _list(Path(options.list) if options.list else None, options.json)
    if not options.pipeline:
        raise ConfigError("no pipeline is named", where="command line", fix="name a file, or see: python -m pipelines.run --list")
    path = find_pipeline(options.pipeline)

    from mmfa_components.registry import load_registry
    from pipelines.kinds import kind_of

    kind = kind_of(path, options.overrides)
    registry = load_registry()
    plan = kind.load(path, options.overrides, registry)
    if options.dry_run:
        if options.json:
            print(json.dumps(kind.facts(plan, registry), indent=2, default=str))
        else:
            _console().print(kind.describe(plan, registry))
        return 0
    report = kind.run(plan, registry, _console(stderr=options.json))
    if options.json:
        print(report.to_json())
    return report.exit_code


def _list(folder: Path | None, as_json: bool) -> int:
    found = list_pipelines(folder)
    if as_json:
        rows = [{"name": p.name, "description": p.description, "path": str(p.path), "problem": p.problem} for p in found]
        print(json.dumps(rows, indent=2))
        return 0
    table = Table()
    for name in ("pipeline", "what it does", "file"):
        table.add_column(name, overflow="fold")
    for pipeline in found:
        table.add_row(*map(Text, (pipeline.name, pipeline.problem or pipeline.description, _short(pipeline.path))))
    _console().print(table if found else f"no pipeline files in {folder}")
    return 0


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _console(stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, soft_wrap=stderr, width=None if stream.isatty() else WIDTH)


def _keep_traceback() -> str:
    try:
        with tempfile.NamedTemporaryFile("w", prefix="mmfa-traceback-", suffix=".txt", delete=False, encoding="utf-8") as file:
            traceback.print_exc(file=file)
        return f"The full traceback is in {file.name}"
    except OSError:
        return "The full traceback could not be written:\n" + traceback.format_exc()


if __name__ == "__main__":
    sys.exit(main())
