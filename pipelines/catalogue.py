"""The pipelines that can be run by name: those shipped, and the user's own ``*.toml`` files."""

from __future__ import annotations

import tomllib
from pathlib import Path

import attrs

from mmfa_components.errors import ConfigError, did_you_mean

SHIPPED = Path(__file__).parent
OWN = Path("pipelines")


@attrs.frozen
class Listed:
    """One pipeline file: its name, what it says of itself, where it lies, and why it cannot be read, if so."""

    name: str
    description: str
    path: Path
    problem: str = ""


def list_pipelines(folder: Path | None = None) -> list[Listed]:
    """The pipelines of ``folder``, or else those shipped and those in ./pipelines, by name; own ones come before shipped ones.

    Raises ConfigError when ``folder`` is not a folder.
    """
    if folder is not None and not folder.is_dir():
        raise ConfigError("is not a folder", where=str(folder), fix="name a folder that holds pipeline files (*.toml)")
    found: dict[str, Listed] = {}
    for place in [folder] if folder is not None else [OWN, SHIPPED]:
        for path in sorted(place.glob("*.toml")) if place.is_dir() else []:
            found.setdefault(path.stem, _listed(path))
    return [found[name] for name in sorted(found)]


def find_pipeline(name: str) -> Path:
    """The file behind a path or a name. Raises ConfigError with a did-you-mean."""
    given = Path(name).expanduser()
    if given.is_dir():
        raise ConfigError("is a folder", where=name, fix=f"list its pipelines: mmfa run --list {name}")
    if given.is_file():
        return given
    listed = {p.name: p.path for p in list_pipelines()}
    plain = name.removesuffix(".toml")
    if plain in listed:
        return listed[plain]
    raise ConfigError("there is no such pipeline file", where=name, fix=did_you_mean(Path(plain).name, listed))


def _listed(path: Path) -> Listed:
    try:
        description = tomllib.loads(path.read_text(encoding="utf-8-sig")).get("description", "")
    except (OSError, ValueError) as error:
        return Listed(path.stem, "", path, f"cannot be read: {error}")
    return Listed(path.stem, str(description), path)
