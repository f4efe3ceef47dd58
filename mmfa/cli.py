"""The command ``mmfa``: each of its commands is a module that is imported when it is asked for, so that ``--help`` is quick."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Protocol, cast

import mmfa
from mmfa_components.command import EXIT_CODES, guarded
from mmfa_components.errors import ConfigError, did_you_mean

COMMANDS: Mapping[str, tuple[str, str]] = {
    "animate": ("mmfa.commands.animate", "move a portrait by a video"),
    "pose": ("mmfa.commands.pose", "turn the head of a portrait"),
    "live": ("mmfa.commands.live", "move a portrait by a camera"),
    "run": ("pipelines.run", "run a pipeline file"),
    "studio": ("pipelines.studio.__main__", "pose and animate in your browser"),
    "cache": ("cache.__main__", "look after the motion that is kept of clips"),
    "plugins": ("plugins.__main__", "list and check components, fetch weights"),
    "export-onnx": ("mmfa.commands.export_onnx", "write the networks as ONNX files"),
    "keys": ("mmfa.commands.keys", "explain the keys of pipeline files"),
    "where": ("mmfa.commands.where", "show where MMFA keeps its files"),
    "completion": ("mmfa.commands.completion", "print a completion script for your shell"),
}
"""Commands: the module, and what it does."""

EXAMPLES = """examples:
  mmfa animate me.jpg clip.mp4                the portrait moves as the person in the clip
  mmfa animate me.jpg clip.mp4 -o me.mp4 --paste
  mmfa pose me.jpg --yaw 20                   a picture with the head turned
  mmfa run batch_reenact                      the demo; mmfa run --list names more
  mmfa COMMAND --help

Animate only faces of people who agreed to it; say that the results are synthetic."""


class Command(Protocol):
    """What the module of a command has."""

    def parser(self, prog: str, add_help: bool = True) -> argparse.ArgumentParser:
        """Its command line."""
        ...

    def main(self, arguments: Sequence[str] | None = None, prog: str = "") -> int:
        """Run it; gives the exit code."""
        ...


def command(name: str) -> Command:
    """The module of a command."""
    return cast(Command, importlib.import_module(COMMANDS[name][0]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in COMMANDS:
        return command(given[0]).main(given[1:], prog=f"mmfa {given[0]}")
    return guarded(lambda: _without_command(given))


def _without_command(given: list[str]) -> int:
    if given and not given[0].startswith("-"):
        fix = did_you_mean(given[0], COMMANDS)
        raise ConfigError(f"there is no command {given[0]!r}", where="mmfa", fix=f"{fix}; see: mmfa --help")
    parser = parser_of_names()
    if not given:
        parser.print_help()
        return 0
    parser.parse_args(given)  # --help, --version, or an option that is not there
    return 0


def parser_of_names() -> argparse.ArgumentParser:
    """The top of the command line, its commands by name only."""
    parser = argparse.ArgumentParser(
        prog="mmfa",
        description="Move a portrait by a video, or pose it by hand.",
        epilog=f"{EXAMPLES}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mmfa {mmfa.__version__}")
    names = parser.add_subparsers(metavar="COMMAND", title="commands")
    for name, (_, text) in COMMANDS.items():
        names.add_parser(name, help=text, add_help=False)
    return parser


def whole_parser() -> argparse.ArgumentParser:
    """The command line with all options of all commands, as completion needs it; imports everything."""
    parser = argparse.ArgumentParser(prog="mmfa")
    parser.add_argument("--version", action="version", version=f"mmfa {mmfa.__version__}")
    names = parser.add_subparsers(metavar="COMMAND")
    for name, (_, text) in COMMANDS.items():
        names.add_parser(name, help=text, parents=[command(name).parser(f"mmfa {name}", add_help=False)])
    return parser
