"""From globs or a manifest to clips and portraits, and which clip drives which portrait."""

from __future__ import annotations

import csv
from pathlib import Path

from pipelines.config.faults import Faults
from pipelines.config.inputs import find_files
from pipelines.config.places import place
from pipelines.evaluation.schema import EvaluateInputs, Input
from pipelines.media import probe


def find_inputs(inputs: EvaluateInputs, here: Path, faults: Faults) -> tuple[tuple[Input, ...], tuple[Input, ...]]:
    """Clips and portraits in a fixed order. Every fault is noted; files given without a manifest are each a person of their own."""
    if inputs.manifest:
        if inputs.clips or inputs.portraits:
            faults.add("inputs", "has both a manifest and clips or portraits", "keep one of the two")
        return _from_manifest(place(inputs.manifest, here), inputs.split, faults)
    if not inputs.clips:
        faults.add("inputs.clips", "names no file", "list paths or globs of videos, or give a manifest")
    found = [find_files(getattr(inputs, key), f"inputs.{key}", here, faults) for key in ("clips", "portraits")]
    clips, portraits = ([Input(path, str(path)) for path in dict.fromkeys(paths)] for paths in found)
    return tuple(clips), tuple(portraits)


def pair_up(clips: tuple[Input, ...], portraits: tuple[Input, ...], per_clip: int) -> tuple[tuple[int, ...], ...]:
    """For each clip the numbers of the portraits it drives: the next ``per_clip`` in turn (0: all), never of the clip's own person."""
    pairs, at = [], 0
    for clip in clips:
        others = [i for i, p in enumerate(portraits) if p.identity != clip.identity]
        count = min(len(others), per_clip or len(others))
        ahead = sorted(others, key=lambda i: (i - at) % max(1, len(portraits)))
        pairs.append(tuple(ahead[:count]))
        at = (ahead[count - 1] + 1) % len(portraits) if count else at
    return tuple(pairs)


def _from_manifest(path: Path, split: str, faults: Faults) -> tuple[tuple[Input, ...], tuple[Input, ...]]:
    where = "inputs.manifest"
    try:
        with path.open(newline="", encoding="utf-8-sig") as opened:
            reader = csv.DictReader(opened)
            columns, rows = reader.fieldnames or [], list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        faults.add(where, f"{str(path)!r} cannot be read ({error})", "give a CSV file with the columns file, identity, split")
        return (), ()
    if "file" not in columns:
        faults.add(where, f"{str(path)!r} has no column 'file'", "name the columns in the first line: file,identity,split")
        return (), ()
    clips: list[Input] = []
    portraits: list[Input] = []
    for line, row in enumerate(rows, 2):
        name = (row["file"] or "").strip()
        if not name:
            faults.add(f"{where}: line {line}", "names no file")
            continue
        if split and (row.get("split") or split).strip() != split:
            continue
        file = path.parent / name
        if not file.is_file():
            faults.add(f"{where}: line {line}", f"there is no file {str(file)!r}", "correct the manifest; its files are relative to its folder")
            continue
        kind = (row.get("kind") or "").strip() or probe(file).kind
        item = Input(file, (row.get("identity") or "").strip() or name)
        (clips if kind in ("clip", "video") else portraits).append(item)
    if not clips and not faults.items:
        faults.add(where, f"{str(path)!r} names no clip" + (f" of split {split!r}" if split else ""), "check inputs.split")
    return tuple(clips), tuple(portraits)
