"""From what the file says to jobs: globs, lists, pairing, output names."""

from __future__ import annotations

import difflib
import glob
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import attrs

from mmfa_components.errors import ConfigError
from pipelines.config import places
from pipelines.config.faults import Faults
from pipelines.config.job_files import read_job_file
from pipelines.config.schema import Inputs, Job, Output
from pipelines.media import CONTAINERS, STILLS, check_container, suffix_of
from pipelines.remote import is_staged, is_url, list_urls, staged_input, staged_output

LONGEST_NAME = 200  # bytes; file systems allow 255


def natural_key(path: Path | str) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key in which ``clip2`` comes before ``clip10``."""
    parts = re.split(r"(\d+)", str(path))
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p.casefold()) for p in parts if p], str(path)


def find_files(patterns: Iterable[str], key: str, here: Path, faults: Faults) -> list[Path]:
    """Files behind paths and globs, in the order given, each glob in natural order; hidden files and folders are left out."""
    files: list[Path] = []
    for number, pattern in enumerate(patterns):
        where = f"{key}[{number}]"
        if is_url(pattern):
            files += find_urls(pattern, where, faults)
            continue
        literal = places.place(pattern, here)
        if literal.is_file():
            files.append(literal)
        elif literal.is_dir():
            faults.add(where, f"{pattern!r} is a folder", f"name the files in it: {pattern.rstrip('/')}/*")
        elif glob.has_magic(pattern):
            text = places.pattern(pattern, here)
            found = sorted((Path(p) for p in glob.iglob(text, recursive=True) if Path(p).is_file()), key=natural_key)
            if not found:
                faults.add(where, f"no file matches {pattern!r}", _folder_hint(text))
            files += found
        else:
            faults.add(where, f"there is no file {str(literal)!r}", _near(literal))
    return files


def find_urls(pattern: str, where: str, faults: Faults) -> list[Path]:
    """Where the files behind a URL, which may be a glob, lie once they are staged."""
    try:
        found = [staged_input(url) for url in sorted(list_urls(pattern), key=natural_key)]
    except ConfigError as error:
        faults.add_error(error, where)
        return []
    except Exception as error:  # whatever the package of that protocol raises: no connection, no permission, no such bucket
        faults.add(where, f"{pattern!r} cannot be listed ({error})", "check the URL, the connection and your permissions")
        return []
    if not found:
        faults.add(where, f"nothing is at {pattern!r}", "check the URL")
    return found


def output_folder(output: Output) -> Path:
    """Where results are written: the folder, or where they are staged for a URL."""
    return staged_output(output.folder) if is_url(output.folder) else Path(output.folder)


def make_jobs(inputs: Inputs, output: Output, here: Path, faults: Faults) -> tuple[Job, ...]:
    """The jobs of a pipeline, in a fixed order. Every fault of the inputs is noted; what is fine is returned."""
    if inputs.jobs and (inputs.sources or inputs.driving):
        faults.add("inputs", "has both jobs and sources or driving", "keep one of the two")
        return ()
    if inputs.jobs:
        return _from_file(inputs, output, here, faults)
    if faults.touches("inputs", "sources") or faults.touches("inputs", "driving"):
        return ()
    for key, given in (("sources", inputs.sources), ("driving", inputs.driving)):
        if not given:
            fix = "list paths or globs, or give a table of jobs as inputs.jobs"
            faults.add(f"inputs.{key}", "names no file", fix)
    sources = find_files(inputs.sources, "inputs.sources", here, faults)
    driving = find_files(inputs.driving, "inputs.driving", here, faults)
    if inputs.pairing == "product":
        pairs = [(s, d) for s in dict.fromkeys(sources) for d in dict.fromkeys(driving)]
    elif len(sources) != len(driving) and sources and driving:
        what = f"zip pairs one with one, but there are {len(sources)} sources and {len(driving)} driving clips"
        faults.add("inputs.pairing", what, 'list as many of each, or use pairing = "product"')
        return ()
    else:
        pairs = list(zip(sources, driving, strict=False))
    folder, suffix = output_folder(output), suffix_of(output.codec)
    names = unique_names([f"{s.stem}__{d.stem}" for s, d in pairs])
    jobs = [Job(s, d, folder / f"{name}{suffix}") for (s, d), name in zip(pairs, names, strict=True)]
    return safe_jobs(jobs, output, faults)


def unique_names(names: list[str], taken: Iterable[str] = ()) -> list[str]:
    """The names in order, later ones of the same name with ``_2``, ``_3``, ...; upper and lower case count as the same."""
    used = {t.casefold() for t in taken}
    first = {n.casefold() for n in map(_fitting, names)}
    result: list[str] = []
    for name in map(_fitting, names):
        unique, count = name, 1
        while unique.casefold() in used or (count > 1 and unique.casefold() in first):
            count += 1
            unique = f"{name}_{count}"
        used.add(unique.casefold())
        result.append(unique)
    return result


def _fitting(name: str) -> str:
    """``name`` as text, its bytes that are none as %XX; when it is too long for a file its beginning with a digest of all of it."""
    data = "".join(f"%{ord(c) & 0xFF:02X}" if "\udc80" <= c <= "\udcff" else c for c in name).encode()
    if len(data) <= LONGEST_NAME:
        return data.decode()
    return data[: LONGEST_NAME - 10].decode(errors="ignore") + "_" + hashlib.sha256(data).hexdigest()[:8]


def _from_file(inputs: Inputs, output: Output, here: Path, faults: Faults) -> tuple[Job, ...]:
    path = places.place(inputs.jobs, here)
    folder, suffix = output_folder(output), suffix_of(output.codec)
    ready = [(line, _file_of(line.source, here, faults), _file_of(line.driving, here, faults)) for line in read_job_file(path, faults)]
    if ready and not any(s.is_file() or d.is_file() or is_staged(s) for _, s, d in ready):
        line, source, _ = ready[0]
        faults.add(line.where, f"source: there is no file {str(source)!r}, nor any other file of the table", _near(source))
    given: dict[str, str] = {}
    for line, _, _ in ready:
        if line.output and given.setdefault(_with_suffix(line.output, suffix).casefold(), line.where) != line.where:
            other = given[_with_suffix(line.output, suffix).casefold()]
            faults.add(line.where, f"output {line.output!r} is already the output of {other}", "give each job its own name")
    stems = [Path(name).stem for name in given]
    free = iter(unique_names([f"{s.stem}__{d.stem}" for line, s, d in ready if not line.output], stems))
    jobs = [
        Job(s, d, folder / (_with_suffix(line.output, suffix) if line.output else next(free) + suffix), line.face, line.reference)
        for line, s, d in ready
    ]
    return safe_jobs(jobs, output, faults)


def _file_of(text: str, here: Path, faults: Faults) -> Path:
    """The file that a cell of a job table names; when it is not there, its job fails alone."""
    if is_url(text):
        missing = Faults()
        found = find_urls(text, "", missing)
        return found[0] if found else staged_output(text)
    return places.place(text, here)


def _with_suffix(name: str, suffix: str) -> str:
    return name if Path(name).suffix.lower() in CONTAINERS else name + suffix


def safe_jobs(jobs: list[Job], output: Output, faults: Faults) -> tuple[Job, ...]:
    """The jobs, with a fault noted for each that would overwrite an input, the report or the contact sheet, or whose
    kind of file does not take the encoder."""
    inputs = {p.resolve() for job in jobs for p in (job.source, job.driving)}
    extras = {(output_folder(output) / n).resolve(): key for key, n in attrs.asdict(output).items() if key in ("report", "contact_sheet") and n}
    for job in jobs:
        target = job.output.resolve()
        if target in inputs:
            faults.add("output.folder", f"the result {str(job.output)!r} would overwrite an input", "choose another folder")
        if job.output.suffix.lower() not in STILLS:
            try:
                check_container(job.output, output.codec)
            except ConfigError as error:
                faults.add_error(error)
        if target in extras:
            faults.add(f"output.{extras[target]}", f"has the name of the result {str(job.output)!r}", "choose another name")
    for extra, key in extras.items():
        if extra in inputs:
            faults.add(f"output.{key}", f"would overwrite the input {str(extra)!r}", "choose another name")
    return tuple(jobs)


def _folder_hint(pattern: str) -> str:
    """Which folder of a glob does not exist, or that it holds no such file."""
    fixed = Path(*_before_magic(Path(pattern)))
    if not fixed.is_dir():
        return f"the folder {str(fixed)!r} does not exist; relative paths start at the working directory"
    return f"the folder {str(fixed)!r} exists, but holds no such file"


def _before_magic(path: Path) -> list[str]:
    parts: list[str] = []
    for part in path.parent.parts:
        plain = part.replace("[[]", "[").replace("[*]", "*").replace("[?]", "?")
        if glob.has_magic(part) and glob.escape(plain) != part:
            break
        parts.append(plain)
    return parts or ["."]


def _near(path: Path) -> str:
    """A did-you-mean among the files beside a missing one."""
    if not path.parent.is_dir():
        return f"the folder {str(path.parent)!r} does not exist; relative paths start at the working directory"
    close = difflib.get_close_matches(path.name, sorted(p.name for p in path.parent.iterdir()), n=1)
    return f"did you mean {str(path.parent / close[0])!r}?" if close else "check the path"
