"""Commands of ``mmfa cache`` that exchange motion: export, import, and the plots of ``show``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import torch
from rich.console import Console

from cache.exchange import Known, export_entry, import_motion, motion_name
from cache.listing import Entry, find
from cache.liveportrait import import_template
from cache.motion_file import MotionFile, is_motion_file
from cache.plot import plot_motion
from cache.store import RecordCache, known_records
from mmfa_components.errors import CacheError
from mmfa_components.records import HEAD
from mmfa_components.registry import load_registry

Add = Callable[[str, Any, str], argparse.ArgumentParser]


def commands_of_exchange(add: Add) -> None:
    """Add the commands to the command line."""
    export = add("export", _export, "write the motion of an entry to a portable motion file")
    export.add_argument("key", help="beginning of the key")
    export.add_argument("file", type=Path, help="the file to write, *.motion.zip")
    text = "frames a second of the clip, such as 25 or 24000/1001 (default: as the cache knows of the clip; older entries do not)"
    export.add_argument("--rate", help=text)
    text = "put an exported motion file into the cache, or turn a motion template of LivePortrait (.pkl) into a motion file"
    bring = add("import", _import, text)
    bring.add_argument("file", type=Path, help="a motion file, or a template")
    bring.add_argument("--output", type=Path, help="of a template: the motion file to write (default: beside it)")


def _export(options: argparse.Namespace, out: Console, known: Known | None) -> int:
    output = options.file.with_name(motion_name(options.file.name))
    rate = _rate(options.rate) if options.rate else None
    header = export_entry(options.folder, find(options.folder, options.key), output, rate, all_known(known))
    if options.json:
        print(json.dumps({"file": str(output), "header": _plain(header)}, indent=2))
    else:
        out.print(f"{output}: {header.frames} frames of {header.source or '?'} at {header.rate} frames/s", markup=False)
    return 0


def _import(options: argparse.Namespace, out: Console, known: Known | None) -> int:
    path: Path = options.file
    if is_motion_file(path) or path.suffix == ".zip":
        key = import_motion(options.folder, path, all_known(known))
        if options.json:
            print(json.dumps({"key": key.digest}, indent=2))
        else:
            out.print(f"{key.digest[:12]}  {key.record.__name__} of {key.input_name or '?'}", markup=False)
        return 0
    output = options.output or path.with_name(motion_name(path.name))
    header = import_template(path, output.with_name(motion_name(output.name)))
    if options.json:
        print(json.dumps({"file": str(output), "header": _plain(header)}, indent=2))
        return 0
    out.print(f"{output}: {header.frames} frames at {header.rate} frames/s", markup=False)
    out.print("rotation, scale and translation can drive MMFA (use them relative); LivePortrait's expression cannot, it is kept in the file")
    return 0


def show_file(options: argparse.Namespace, out: Console, known: Known) -> int:
    """Show the header of a motion file, and plot it when asked. Raises CacheError."""
    file = MotionFile(Path(options.key), known.records, known.motions)
    try:
        if options.plot:
            seconds = file.pts(0, len(file)).double() * float(file.header.time_base)
            plot_motion(options.plot, f"{file.path.name}: {file.header.source or 'unknown clip'}", file, file.kind, seconds - seconds[0])
        if options.json:
            print(json.dumps(_plain(file.header), indent=2))
            return 0
        for name, value in _plain(file.header).items():
            if name not in ("animator", "key", "more"):
                out.print(f"{name.replace('_', ' '):<14}{'' if value is None else value}", markup=False)
        animator = file.header.animator
        out.print(f"{'animator':<14}{animator.get('name', 'not known')} {json.dumps(animator.get('weights', {}))}", markup=False)
        for name in file.header.more:
            out.print(f"{'also holds':<14}{name}", markup=False)
        if options.plot:
            out.print(f"{'plot':<14}{options.plot}", markup=False)
    finally:
        file.close()
    return 0


def plot_entry(options: argparse.Namespace, entry: Entry, known: Known) -> None:
    """Plot the motion of an entry over its frame numbers. Raises CacheError for other records and damaged entries."""
    record = known.records.get(entry.record_name)
    kind = None if record is None else known.motion_of(record)
    if record is None or kind is None:
        raise CacheError(f"is a {entry.record_name}; curves are drawn of motions", where=entry.digest[:12], fix="mmfa cache ls")
    stored = RecordCache(options.folder, "read").open_digest(entry.digest, record)
    if stored is None:
        raise CacheError("the entry is damaged", where=entry.digest[:12], fix="mmfa cache verify says what is wrong")
    plot_motion(options.plot, entry.input_name or entry.digest[:12], stored, kind, torch.arange(len(stored)), "frames")


def all_known(given: Known | None) -> Known:
    """What can be read: what is given, else what all plugins bring, and always our own records."""
    if given is None:
        registry = load_registry()
        given = Known(registry.records, registry.motions)
    return Known({**known_records(), **given.records}, {HEAD.record.__name__: HEAD, **given.motions})


def _rate(text: str) -> Fraction:
    try:
        rate = Fraction(text)
        if 0 < rate <= 1000:
            return rate
    except (ValueError, ZeroDivisionError):
        pass
    raise CacheError(f"{text!r} is no frame rate", where="--rate", fix="such as 25, 29.97 or 24000/1001")


def _plain(header: Any) -> dict[str, Any]:
    return {k: str(v) if isinstance(v, Fraction) else v for k, v in attrs.asdict(header).items()}
