"""``mmfa keys``: what every key of a pipeline file means, takes and is by default; also as JSON Schema, for editors."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Sequence

import attrs

from mmfa_components.command import EXIT_CODES, guarded
from mmfa_components.errors import ConfigError, did_you_mean
from pipelines.config.explain import KeyFacts, json_schema_of_kinds, keys_of
from pipelines.kinds import DEFAULT, MODULES, schema_of

PROG = "mmfa keys"
EXAMPLES = f"""examples:
  mmfa keys                       all keys of kind "{DEFAULT}"
  mmfa keys output                one table
  mmfa keys edit motion.yaw       a table of another kind
  mmfa keys --schema > mmfa.json  for an editor: #:schema ./mmfa.json as the first line of a file (taplo, Even Better TOML)
kinds: {", ".join(MODULES)}"""


def parser(prog: str = PROG, add_help: bool = True) -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Explain the keys of pipeline files (and of --set).",
        epilog=f"{EXAMPLES}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=add_help,
    )
    parser.add_argument("words", nargs="*", metavar="[KIND] [KEY]", help=f"a kind (default: {DEFAULT}), a key or a table")
    parser.add_argument("--json", action="store_true", help="print the keys as JSON")
    parser.add_argument("--schema", action="store_true", help="print a JSON Schema of all kinds")
    return parser


def main(arguments: Sequence[str] | None = None, prog: str = PROG) -> int:
    """Explain keys; gives the exit code."""
    options = parser(prog).parse_args(arguments)
    return guarded(lambda: _keys(options))


def _keys(options: argparse.Namespace) -> int:
    if options.schema:
        print(json.dumps(json_schema_of_kinds({name: schema_of(name) for name in MODULES}, DEFAULT), indent=1))
        return 0
    found = chosen(options.words)
    if options.json:
        print(json.dumps([attrs.asdict(one) for one in found], indent=2))
        return 0
    for one in found:
        _print(one)
    return 0


def chosen(words: Sequence[str]) -> list[KeyFacts]:
    """The keys that the arguments name. Raises ConfigError with a did-you-mean."""
    kind, rest = (words[0], list(words[1:])) if words and words[0] in MODULES else (DEFAULT, list(words))
    if len(rest) > 1:
        raise ConfigError(f"one key or table is taken, {rest[1]!r} is more", where="command line", fix=f"such as: {PROG} edit motion")
    every = list(keys_of(schema_of(kind)))
    if not rest:
        return every
    key = rest[0].strip("[]")
    found = [one for one in every if one.path == key or one.path.startswith(f"{key}.")]
    if not found:
        known = [*MODULES, *(one.path for one in every)]
        raise ConfigError(f"kind {kind!r} has no key {key!r}", where="command line", fix=did_you_mean(key, known))
    return found


def _print(one: KeyFacts) -> None:
    width = 100
    if one.values == "table":
        print(f"\n[{one.path}]" + (f"  {one.about}" if one.about else ""))
        return
    default = f"{one.path} = {one.default}" if one.default else one.path
    print(f"{default:<40}  {one.values}")
    if one.about:
        print(textwrap.fill(one.about, width, initial_indent="    ", subsequent_indent="    "))


if __name__ == "__main__":
    sys.exit(main())
