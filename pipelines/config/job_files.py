"""Tables of jobs: CSV (also with semicolons or tabs) with a header line, or JSONL with one object a line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from mmfa_components.errors import did_you_mean, reason_of
from pipelines.config.faults import Faults

NEEDED = ("source", "driving")
COLUMNS = (*NEEDED, "output", "face", "reference")


@attrs.frozen
class JobLine:
    """One job of a table. where: its file and line.  output: file name without folder, "" for the usual one."""

    where: str
    source: str
    driving: str
    output: str = ""
    face: str | int | None = None
    reference: str | int | None = None


def read_job_file(path: Path, faults: Faults) -> list[JobLine]:
    """The jobs of a .csv, .jsonl or .ndjson file; every fault is noted with the file and its line."""
    kinds = {".csv": _csv_rows, ".jsonl": _json_rows, ".ndjson": _json_rows}
    if path.suffix.lower() not in kinds:
        faults.add("inputs.jobs", f"{str(path)!r} is neither .csv nor .jsonl", "save the table in one of these formats")
        return []
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        faults.add("inputs.jobs", f"{str(path)!r} cannot be read ({reason_of(error)})", "check the path")
        return []
    except UnicodeDecodeError:
        faults.add("inputs.jobs", f"{str(path)!r} is not UTF-8 text", "save it as UTF-8")
        return []
    before = len(faults.items)
    lines = [_job(where, row, faults) for where, row in kinds[path.suffix.lower()](path, text, faults)]
    if not lines and len(faults.items) == before:
        faults.add("inputs.jobs", f"{str(path)!r} lists no job", "add a line for each job")
    return [line for line in lines if line is not None]


def _csv_rows(path: Path, text: str, faults: Faults) -> Iterator[tuple[str, dict[str, Any]]]:
    lines = text.splitlines(keepends=True)
    reader = csv.reader(lines, delimiter=_delimiter(lines), strict=True)
    header: list[str] | None = None
    try:
        for row in reader:
            where = f"{path}:{reader.line_num}"
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if header is None:
                header = cells
                if not _good_header(header, where, faults):
                    return
            elif len(cells) > len(header):
                faults.add(where, f"has {len(cells)} cells, the header {len(header)}", 'put cells that hold the separator into "quotes"')
            else:
                yield where, {name: cell for name, cell in zip(header, cells, strict=False) if cell}
    except csv.Error as error:
        faults.add(f"{path}:{reader.line_num}", f"is not valid CSV ({error})", "check the quotes")


def _delimiter(lines: list[str]) -> str:
    """What parts the columns: the comma, or what spreadsheets write instead of it where the comma is in numbers."""
    header = next((line for line in lines if line.strip()), "")
    known = {mark: len({cell.strip(' "\r\n') for cell in header.split(mark)} & set(COLUMNS)) for mark in (",", ";", "\t")}
    return max(known, key=lambda mark: known[mark])


def _good_header(header: list[str], where: str, faults: Faults) -> bool:
    good = True
    for name in header:
        if name not in COLUMNS:
            faults.add(where, f"there is no column {name!r}", did_you_mean(name, COLUMNS))
            good = False
        elif header.count(name) > 1:
            faults.add(where, f"column {name!r} is there twice", "keep one of them")
            good = False
    missing = [name for name in NEEDED if name not in header]
    if missing and good:
        faults.add(where, f"the header line has no column {' and no '.join(missing)}", f"begin the file with {','.join(COLUMNS[:2])}")
    return good and not missing


def _json_rows(path: Path, text: str, faults: Faults) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{path}:{number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            faults.add(where, f"is not valid JSON ({error})", 'write {"source": "...", "driving": "..."}')
            continue
        if not isinstance(row, dict):
            faults.add(where, "is not a JSON object", 'write {"source": "...", "driving": "..."}')
            continue
        unknown = [key for key in row if key not in COLUMNS]
        for key in unknown:
            faults.add(where, f"there is no column {key!r}", did_you_mean(key, COLUMNS))
        if not unknown:
            yield where, {key: value for key, value in row.items() if value is not None and value != ""}


def _job(where: str, row: dict[str, Any], faults: Faults) -> JobLine | None:
    before = len(faults.items)
    for name in (*NEEDED, "output"):
        value = row.get(name, "")
        if not isinstance(value, str):
            faults.add(where, f"{name}: expected a text, got {value!r}")
        elif name in NEEDED and not value:
            faults.add(where, f"{name} is missing", "give the path of a file")
    output = row.get("output", "")
    if isinstance(output, str) and output and (Path(output).name != output or output in (".", "..")):
        faults.add(where, f"output {output!r} is not a plain file name", "name the folder in output.folder")
    face = _choice(row.get("face"), "largest", "face", where, faults)
    reference = _choice(row.get("reference"), "auto", "reference", where, faults)
    if len(faults.items) > before:
        return None
    return JobLine(where, row["source"], row["driving"], output, face, reference)


def _choice(value: Any, word: str, name: str, where: str, faults: Faults) -> str | int | None:
    """A face or reference: None, the word, or an index of at least 0 (also as text)."""
    if value is None or value == word:
        return word if value else None
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if type(value) is int and value >= 0:
        return value
    fix = did_you_mean(value, [word]) if isinstance(value, str) else ""
    faults.add(where, f"{name}: expected {word!r} or a number from 0, got {value!r}", fix)
    return None
