"""``mmfa where``: where MMFA keeps its files, and what takes how much room."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from mmfa_components.command import EXIT_CODES, guarded
from mmfa_components.folders import CACHE_VARIABLE, WEIGHTS_VARIABLE, motion_folder, weights_folder
from pipelines.catalogue import OWN, SHIPPED
from pipelines.config.places import DEMO_FOLDER

ABOUT = {
    "cache": f"motion of clips, used again; ${CACHE_VARIABLE} or --set cache.folder=... name another; mmfa cache gc makes room",
    "weights": f"weights made by mmfa plugins fetch; ${WEIGHTS_VARIABLE} names another folder",
    "demo": "portraits and clips of the demo; {demo} in a pipeline file",
    "pipelines": "pipeline files that come with MMFA: copy one to make it yours",
    "own pipelines": "your pipeline files that are found by name",
}


def parser(prog: str = "mmfa where", add_help: bool = True) -> argparse.ArgumentParser:
    """The command line."""
    text = "Show where MMFA keeps its files."
    parser = argparse.ArgumentParser(prog=prog, description=text, epilog=EXIT_CODES, add_help=add_help)
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def main(arguments: Sequence[str] | None = None, prog: str = "mmfa where") -> int:
    """Print the folders; gives the exit code."""
    options = parser(prog).parse_args(arguments)
    return guarded(lambda: _show(options.json))


def _show(as_json: bool) -> int:
    folders = {
        "cache": motion_folder(),
        "weights": weights_folder(),
        "demo": DEMO_FOLDER,
        "pipelines": SHIPPED,
        "own pipelines": OWN,
    }
    rows = [{"name": name, "folder": str(path.absolute()), "exists": path.is_dir(), "about": ABOUT[name]} for name, path in folders.items()]
    if as_json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        print(f"{row['name']:<14}{row['folder']}" + ("" if row["exists"] else "  (not there yet)"))
        print(f"{'':<14}{row['about']}")
    print(f"{'results':<14}where output.folder or -o says; temporary files go to {_temporary()}")
    return 0


def _temporary() -> Path:
    import tempfile

    return Path(tempfile.gettempdir())
