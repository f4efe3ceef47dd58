"""``mmfa cache``: look into the cache, check it, say why something was not reused, make room, exchange motion as files."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cache.commands import all_known, commands_of_exchange, plot_entry, show_file
from cache.entry import LAYOUT
from cache.exchange import Known
from cache.explain import Comparison, differences, relatives
from cache.gc import collect, parse_age, parse_size
from cache.listing import Entry, entries, find, verify
from mmfa_components.command import guarded
from mmfa_components.errors import MMFAError
from mmfa_components.folders import motion_folder
from mmfa_components.records import Record

PROG = "python -m cache"


def main(arguments: Sequence[str] | None = None, records: Mapping[str, type[Record]] | None = None, prog: str = PROG) -> int:
    """Run the command line. ``records``: record classes by name; those of all plugins when not given.

    Returns 0, 1 when ``verify`` found damage, 2 for errors (bad arguments, a folder that cannot be read).
    """
    options = parser(prog).parse_args(arguments)
    out = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 160)
    known = None if records is None else Known(records, {})
    return guarded(lambda: int(options.run(options, out, known)))


def parser(prog: str = PROG, add_help: bool = True) -> argparse.ArgumentParser:
    """The command line."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--folder", type=Path, default=motion_folder(), help="the cache's folder (default: %(default)s)")
    common.add_argument("--json", action="store_true", help="print JSON")
    parser = argparse.ArgumentParser(prog=prog, description="Looks after the cache of tracks and motion.", add_help=add_help)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, parents=[common], help=text, description=text)
        command.set_defaults(run=run)
        return command

    add("ls", _ls, "list all entries, last used first")
    show = add("show", _show, "show one entry, or a motion file: fields, sizes, what its key is made of; with --plot its curves")
    show.add_argument("key", help="beginning of the key, or a motion file")
    show.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the curves of a motion into this picture")
    add("verify", _verify, "check every file against its digest; returns 1 when something is damaged").add_argument(
        "--repair", action="store_true", help="move damaged entries out of the way, so that they are made anew"
    )
    add("explain", _explain, "say how an entry differs from others of the same input").add_argument(
        "keys", nargs="+", metavar="KEY", help="beginning of one key, or of two keys to compare"
    )
    gc = add("gc", _gc, "remove what killed runs left, damaged entries, and old or least recently used ones")
    gc.add_argument("--max-size", metavar="SIZE", help='keep at most this much, e.g. "5GB"')
    gc.add_argument("--older-than", metavar="AGE", help='remove what was not used for this long, e.g. "30d"')
    gc.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    commands_of_exchange(add)
    return parser


# ---- commands ----------------------------------------------------------------------------------------------------------
def _ls(options: argparse.Namespace, out: Console, known: Known | None) -> int:
    classes = all_known(known).records
    found = sorted(entries(options.folder), key=lambda e: -e.used)
    if options.json:
        return _print_json([_facts(e, classes) for e in found])
    table = Table(box=None, pad_edge=False)
    for title, justify in (
        ("key", "left"),
        ("record", "left"),
        ("frames", "right"),
        ("size", "right"),
        ("created", "left"),
        ("used", "left"),
        ("input", "left"),
    ):
        table.add_column(title, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("note", no_wrap=True)
    for e in found:
        frames = str(e.marker.frames) if e.marker else "?"
        created, used = (t[:16].replace("T", " ") for t in (e.created, _time(e.used)))
        table.add_row(
            e.digest[:12],
            e.record_name,
            frames,
            _bytes(e.size),
            created,
            used,
            escape(e.input_name),
            escape(_note(e, classes)),
            style=_style(e),
        )
    out.print(table)
    aside = options.folder / LAYOUT / "damaged"
    damaged = len(list(aside.iterdir())) if aside.is_dir() else 0
    text = f"{len(found)} entries, {_bytes(sum(e.size for e in found))} in {options.folder}"
    out.print(text + (f"; {damaged} set aside as damaged" if damaged else ""), markup=False)
    return 0


def _show(options: argparse.Namespace, out: Console, known: Known | None) -> int:
    if Path(options.key).is_file():
        return show_file(options, out, all_known(known))
    entry = find(options.folder, options.key)
    facts = _facts(entry, all_known(known).records)
    if options.plot:
        plot_entry(options, entry, all_known(known))
    if options.json:
        return _print_json({**facts, "preimage": entry.hashed})
    for name in ("key", "record", "input_name", "created", "used", "frames", "size", "note", "path"):
        value = _bytes(entry.size) if name == "size" else facts[name]
        out.print(f"{name.replace('_', ' '):<11}{'' if value is None else value}", markup=False)
    for name, field in (entry.marker.fields if entry.marker else {}).items():
        out.print(f"  {name:<20}{field['dtype']} {tuple(field['shape'])}", markup=False)
    out.print("made of")
    out.print(json.dumps(entry.hashed, indent=2), markup=False)
    return 0


def _verify(options: argparse.Namespace, out: Console, known: Known | None) -> int:
    count, faults = verify(options.folder, options.repair)
    if options.json:
        rows = [{"key": f.entry.digest, "fault": f.why, "moved": str(f.moved) if f.moved else None} for f in faults]
        _print_json({"entries": count, "damaged": rows})
        return 1 if faults else 0
    for f in faults:
        done = f"set aside as {f.moved}" if f.moved else ("could not be moved" if options.repair else "")
        out.print(f"{f.entry.digest[:12]}  {f.entry.record_name} of {f.entry.input_name or '?'}: {f.why}", markup=False)
        if done:
            out.print(f"  {done}", markup=False)
    out.print(f"{count} entries checked, {len(faults)} damaged")
    if faults and not options.repair:
        out.print("mmfa cache verify --repair moves damaged entries away; they are made anew when next needed")
    return 1 if faults else 0


def _explain(options: argparse.Namespace, out: Console, known: Known | None) -> int:
    entry = find(options.folder, options.keys[-1])
    if len(options.keys) > 2:
        raise MMFAError("explain takes one key or two", where="explain", fix="name two entries to compare")
    if len(options.keys) == 2:
        other = find(options.folder, options.keys[0])
        compared = [Comparison(other, differences(other.hashed, entry.hashed))]
    else:
        compared = relatives(options.folder, entry)
    if options.json:
        rows = [{"key": c.other.digest, "differences": list(c.differences)} for c in compared]
        return _print_json({"key": entry.digest, "compared": rows})
    out.print(f"{entry.digest[:12]}  {entry.record_name} of {entry.input_name or '?'}, {entry.created}", markup=False)
    if not compared:
        out.print("no other entry of this record has the same input or name: there was nothing to reuse")
    for c in compared:
        out.print(f"compared with {c.other.digest[:12]}  {c.other.input_name or '?'}, {c.other.created}:", markup=False)
        for line in c.differences or ("no difference",):
            out.print(f"  {line}", markup=False)
    return 0


def _gc(options: argparse.Namespace, out: Console, known: Known | None) -> int:
    size = parse_size(options.max_size) if options.max_size else None
    age = parse_age(options.older_than) if options.older_than else None
    done = collect(options.folder, size, age, options.dry_run)
    if options.json:
        rows = [{"path": str(r.path), "size": r.size, "why": r.why} for r in done.removed]
        return _print_json({"dry_run": options.dry_run, "removed": rows, "kept": done.kept, "kept_size": done.kept_size})
    for r in done.removed:
        out.print(f"{r.path.name[:12]}  {_bytes(r.size):>9}  {r.why:<8}  {r.text}", markup=False)
    verb = "would remove" if options.dry_run else "removed"
    out.print(f"{verb} {len(done.removed)} ({_bytes(done.freed)}), keeps {done.kept} entries ({_bytes(done.kept_size)})")
    return 0


# ---- how things are written --------------------------------------------------------------------------------------------
def _facts(entry: Entry, known: Mapping[str, type[Record]]) -> dict[str, Any]:
    marker = entry.marker
    return {
        "key": entry.digest,
        "record": entry.hashed.get("record", "?"),
        "input_name": entry.input_name,
        "created": entry.created,
        "used": _time(entry.used),
        "frames": marker.frames if marker else None,
        "size": entry.size,
        "fields": marker.fields if marker else {},
        "note": _note(entry, known),
        "path": str(entry.path),
    }


def _note(entry: Entry, known: Mapping[str, type[Record]]) -> str:
    """Damage, or why the entry is not used any more."""
    if entry.fault:
        return f"damaged: {entry.fault}"
    record = known.get(entry.record_name)
    if record is None:
        return "record class not known here"
    return "" if record.fingerprint() == entry.hashed.get("record") else "of an older record schema"


def _style(entry: Entry) -> str:
    return "red" if entry.fault else ""


def _time(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds")


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _print_json(value: Any) -> int:
    print(json.dumps(value, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
