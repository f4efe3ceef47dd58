"""``mmfa run FILE.toml``, or ``mmfa run``: run a pipeline, show what it would do, or list the pipelines there are."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmfa_components.command import EXIT_CODES, guarded
from mmfa_components.errors import ConfigError
from pipelines.catalogue import find_pipeline, list_pipelines

if TYPE_CHECKING:  # for --list, nothing heavy is imported
    from mmfa_components.registry import Registry
    from pipelines.kinds import Kind

WIDTH = 160  # where the output is no terminal
PROG = "python -m pipelines.run"
GO_ON = "interrupted: finished results are kept; run the same command again to go on"


def main(arguments: Sequence[str] | None = None, prog: str = PROG) -> int:
    """Run the command line and return its exit code; no exception leaves it."""
    options = parser(prog).parse_args(arguments)
    return guarded(lambda: _command(options), GO_ON, unread=0 if options.list is not None or options.dry_run else 1)


def parser(prog: str = PROG, add_help: bool = True) -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog=prog, description="Run a pipeline file.", epilog=EXIT_CODES, add_help=add_help)
    parser.add_argument("pipeline", nargs="?", metavar="FILE.toml|NAME", help="a pipeline file, or the name of one that --list shows")
    add_run_options(parser)
    parser.add_argument("--list", nargs="?", const="", metavar="FOLDER", help="name the pipelines, with what they do")
    return parser


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """The options that every command has that runs a pipeline."""
    help_set = "change a value of the pipeline: --set output.quality=20 (mmfa keys explains them all)"
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help=help_set)
    parser.add_argument("--dry-run", action="store_true", help="check everything and show the plan; compute nothing")
    parser.add_argument("--json", action="store_true", help="print the list, the plan or the run report as JSON (progress goes to stderr)")


def _command(options: argparse.Namespace) -> int:
    if options.list is not None:
        return _list(Path(options.list) if options.list else None, options.json)
    if not options.pipeline:
        raise ConfigError("no pipeline is named", where="command line", fix="name a file, or see: mmfa run --list")
    path = find_pipeline(options.pipeline)

    from mmfa_components.registry import load_registry
    from pipelines.kinds import kind_of

    kind = kind_of(path, options.overrides)
    registry = load_registry()
    return carry_out(kind, kind.load(path, options.overrides, registry), registry, options)


def carry_out(kind: Kind, plan: Any, registry: Registry, options: argparse.Namespace) -> int:
    """Show the plan (``options.dry_run``) or run it, as text or JSON; gives the exit code."""
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


if __name__ == "__main__":
    sys.exit(main())
