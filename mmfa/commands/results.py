"""``-o``: a file or a folder of the user's, as settings of a pipeline and as the place of the one result."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import attrs

from mmfa_components.errors import ConfigError
from pipelines.config.faults import Faults
from pipelines.config.inputs import safe_jobs
from pipelines.config.schema import Plan
from pipelines.media import CONTAINERS, STILLS

P = TypeVar("P", bound=Plan)

OTHERS = (".avi", ".wmv", ".flv", ".mpg", ".mpeg", ".ts", ".heic", ".bmp", ".tif", ".tiff", ".apng")
DEFAULT_FOLDER = "outputs"


def setting(key: str, value: object) -> str:
    """A value as an argument of ``--set``."""
    return f"{key}={json.dumps(value, ensure_ascii=False)}"


def side_setting(side: str | None) -> list[str]:
    """``--side`` as settings."""
    return [] if side is None else [setting("output.side", int(side) if side.isdecimal() else side)]


def is_file_name(out: str) -> bool:
    """Whether ``-o`` names a file. Raises ConfigError for a kind of file that cannot be written."""
    suffix = Path(out).suffix.lower()
    if Path(out).is_dir() or out.endswith("/"):
        return False
    if suffix in OTHERS:
        fix = f"use {', '.join(CONTAINERS)} for videos and {', '.join(STILLS)} for pictures"
        raise ConfigError(f"a result cannot be written as {suffix}", where=f"-o {out}", fix=fix)
    return suffix in CONTAINERS or suffix in STILLS


def output_settings(out: str) -> list[str]:
    """The settings behind ``-o``, "" for the default folder. Raises ConfigError for a kind of file that cannot be written."""
    if not out or not is_file_name(out):
        return [setting("output.folder", out or DEFAULT_FOLDER)]
    path = Path(out)
    settings = [setting("output.folder", str(path.parent)), setting("output.report", f"{path.stem}.report.json")]
    if path.suffix.lower() in CONTAINERS:
        settings.append(setting("output.codec", CONTAINERS[path.suffix.lower()].codec))
    return settings


def named(plan: P, out: str) -> P:
    """The plan with its result at ``out``, where that is a file.

    Raises ConfigError for several results in one file, a picture where the result is a video (and the other way round), and a
    file that is an input.
    """
    if not out or not is_file_name(out):
        return plan
    path = Path(out)
    if len(plan.jobs) != 1:
        what = f"there are {len(plan.jobs)} results, but one file is named"
        raise ConfigError(what, where=f"-o {out}", fix="name a folder: -o results/")
    job = plan.jobs[0]
    if (job.output.suffix in STILLS) != (path.suffix.lower() in STILLS):
        made, kinds = ("picture", STILLS) if job.output.suffix in STILLS else ("video", tuple(CONTAINERS))
        raise ConfigError(f"the result is a {made}", where=f"-o {out}", fix=f"use one of {', '.join(kinds)}")
    job = attrs.evolve(job, output=path)
    faults = Faults()
    safe_jobs([job], plan.pipeline.output, faults)
    faults.raise_if_any(f"-o {out}")
    return attrs.evolve(plan, jobs=(job,))


def quoted(paths: Iterable[str]) -> list[str]:
    """Paths as they are meant on a command line: the shell has done the globbing, so brackets are plain characters."""
    return [str(Path(path).expanduser()) if "://" not in path else path for path in paths]
