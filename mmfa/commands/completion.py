"""``mmfa completion bash``: a script that completes commands, options and files in the user's shell."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import shtab

from mmfa_components.command import EXIT_CODES, guarded

HOW = """put it where your shell looks for it, then open a new shell:
  bash   mmfa completion bash > ~/.local/share/bash-completion/completions/mmfa
  zsh    mmfa completion zsh > a folder of $fpath, as the file _mmfa
  tcsh   mmfa completion tcsh > ~/.mmfa.csh, and in ~/.tcshrc: source ~/.mmfa.csh"""


def parser(prog: str = "mmfa completion", add_help: bool = True) -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Print a completion script for your shell.",
        epilog=f"{HOW}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=add_help,
    )
    parser.add_argument("shell", choices=shtab.SUPPORTED_SHELLS, help="your shell")
    return parser


def main(arguments: Sequence[str] | None = None, prog: str = "mmfa completion") -> int:
    """Print the script; gives the exit code."""
    options = parser(prog).parse_args(arguments)
    return guarded(lambda: _print(options.shell))


def _print(shell: str) -> int:
    from mmfa.cli import whole_parser

    print(shtab.complete(whole_parser(), shell))
    return 0
