"""From what the file says to source files: globs or a manifest, whose they are, train or val."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

from pipelines.config.faults import Faults
from pipelines.config.inputs import find_files
from pipelines.config.places import place
from pipelines.datasets.schema import DatasetInputs, SourceFile, Split

SPLITS = ("train", "val")


def find_sources(inputs: DatasetInputs, split: Split, here: Path, faults: Faults) -> tuple[SourceFile, ...]:
    """The files of a data set in a fixed order. Every fault of the inputs is noted."""
    if inputs.manifest and inputs.files:
        faults.add("inputs", "has both files and a manifest", "keep one of the two")
        return ()
    if inputs.manifest:
        return _from_manifest(place(inputs.manifest, here), split, faults)
    if not inputs.files:
        faults.add("inputs.files", "names no file", "list paths or globs of videos and images, or give a manifest")
        return ()
    found = list(dict.fromkeys(find_files(inputs.files, "inputs.files", here, faults)))
    names = _names(found)
    sources = []
    for path, name in zip(found, names, strict=True):
        identity = str(Path(name).parent) if inputs.identity == "folder" else name
        sources.append(SourceFile(path, name, identity, split_of(identity, split)))
    return tuple(sources)


def split_of(identity: str, split: Split) -> str:
    """ "train" or "val": decided by the identity alone, so that no person is in both and more files change nothing."""
    digest = hashlib.sha256(f"{split.seed}/{identity}".encode()).digest()
    return "val" if int.from_bytes(digest[:8], "big") < split.val_share * 2**64 else "train"


def _names(paths: list[Path]) -> list[str]:
    """Short names: the paths from their common folder's parent on, so that the folder of each file is kept."""
    absolute = [p.resolve() for p in paths]
    if not absolute:
        return []
    folders = [p.parent for p in absolute]
    common = folders[0]
    while not all(f.is_relative_to(common) for f in folders):
        common = common.parent
    return [str(p.relative_to(common.parent)) for p in absolute]


def _from_manifest(path: Path, split: Split, faults: Faults) -> tuple[SourceFile, ...]:
    where = "inputs.manifest"
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            if "file" not in columns:
                faults.add(where, f"{str(path)!r} has no column 'file'", "name the columns in the first line: file,identity,split")
                return ()
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        faults.add(where, f"{str(path)!r} cannot be read ({error})", "give a CSV file with the columns file, identity, split")
        return ()
    sources: dict[str, SourceFile] = {}
    for line, row in enumerate(rows, 2):
        name, chosen = (row["file"] or "").strip(), (row.get("split") or "").strip()
        identity = (row.get("identity") or "").strip() or str(Path(name).parent)
        if not name:
            faults.add(f"{where}: line {line}", "names no file")
        elif name in sources:
            faults.add(f"{where}: line {line}", f"{name!r} is there a second time")
        elif not chosen or chosen in SPLITS:
            sources[name] = SourceFile(path.parent / name, name, identity, chosen or split_of(identity, split))
    by_person: dict[str, set[str]] = {}
    for source in sources.values():
        by_person.setdefault(source.identity, set()).add(source.split)
    torn = sorted(identity for identity, splits in by_person.items() if len(splits) > 1)
    if torn:
        faults.add(where, f"the same person is in train and in val: {', '.join(torn[:5])}", "give each identity one split")
    return tuple(sources.values())
