"""The recipe of a result: a pipeline file that makes it again from the same files. The studio itself runs just that file."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from pipelines.config.schema import Pipeline, as_tables
from pipelines.studio.settings import Settings
from pipelines.studio.uploads import Upload

NAME = "studio.toml"
HEAD = """# Made by MMFA Studio. Put this file beside {files} and run
#   mmfa run {name}
# Animate only faces of people who agreed to it; say that the result is synthetic.
"""


@attrs.frozen
class Recipe:
    """A folder with the pipeline file and its inputs, as they are given away.

    path: the pipeline file.  portrait, clip: the inputs beside it.
    """

    path: Path
    portrait: Path
    clip: Path | None


def write_recipe(folder: Path, base: Pipeline, precision: str, settings: Settings, portrait: Upload, clip: Upload | None) -> Recipe:
    """Lay the inputs under their own harmless names (uploads.plain_name) into ``folder`` and the recipe beside them.

    base: the studio's pipeline, whose face, animator and weights are used.  precision: as resolved on this machine.
    """
    taken = {NAME}
    files: list[Path] = []
    for upload, prefix in ((portrait, "portrait-"), (clip, "clip-")):
        if upload is None:
            continue
        name = upload.name if upload.name.casefold() not in taken else prefix + upload.name
        taken.add(name.casefold())
        files.append(_lay(upload.path, folder / name))
    path = folder / NAME
    names = [file.name for file in files]
    head = HEAD.format(files=" and ".join(names), name=NAME)
    path.write_text(head + toml_text(recipe_tables(base, precision, settings, names)), encoding="utf-8")
    return Recipe(path, files[0], files[1] if len(files) > 1 else None)


def recipe_tables(base: Pipeline, precision: str, settings: Settings, names: list[str]) -> dict[str, Any]:
    """The recipe as plain data; what has its default value is left out, but for the motion's origins."""
    motion = as_tables(settings.table(len(names) > 1))
    latent = motion.pop("latent")
    tables = {
        "kind": "edit",
        "description": " moved by ".join(names) if len(names) > 1 else f"{names[0]}, posed",
        "inputs": {"sources": ["{here}/" + names[0]], "driving": ["{here}/" + name for name in names[1:]]},
        "motion": {**{name: _changed(table) for name, table in motion.items() if isinstance(table, dict)}, "latent": latent},
        "face": _unlike(attrs.asdict(base.face), attrs.asdict(Pipeline().face)),
        "animator": {k: v for k, v in attrs.asdict(base.animator).items() if v},
        "output": {"folder": "outputs/studio", "frame": settings.frame, "mark": settings.mark, "motion": True, "contact_sheet": ""},
        "engine": {"precision": precision, **_unlike({"batch": base.engine.batch}, {"batch": 0})},
        "weights": dict(base.weights),
    }
    return {name: value for name, value in tables.items() if value not in ({}, [])}


def bundle(recipe: Recipe, results: list[Path]) -> Path:
    """A ZIP beside the recipe with everything: recipe, inputs, results."""
    path = recipe.path.with_name("studio.zip")
    partial = path.with_suffix(".part")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for file in [recipe.path, recipe.portrait, *([recipe.clip] if recipe.clip else [])]:
            archive.write(file, file.name)
        for file in results:
            archive.write(file, f"result/{file.name}")
    return partial.replace(path)


def toml_text(tables: Mapping[str, Any], prefix: str = "") -> str:
    """Plain data (texts, numbers, truth values, lists, tables) as TOML."""
    values = {k: v for k, v in tables.items() if not isinstance(v, Mapping)}
    lines = [f"{_key(key)} = {_value(value)}\n" for key, value in values.items()]
    for key, table in tables.items():
        if isinstance(table, Mapping) and table:
            name = f"{prefix}{_key(key)}"
            plain = any(not isinstance(v, Mapping) for v in table.values())
            lines.append((f"\n[{name}]\n" if plain else "") + toml_text(table, f"{name}."))
    return "".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else json.dumps(key)


def _changed(table: Mapping[str, Any]) -> dict[str, Any]:
    """What an attribute's table says: its origin, and what is not as it is by default."""
    still = {"clip": "", "amount": 1.0, "offset": 0.0, "keys": ()}
    kept = {k: v for k, v in table.items() if k == "take" or (k in still and v != still[k])}
    return {} if kept == {"take": "whole"} else kept


def _unlike(table: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in table.items() if v != default[k]}


def _lay(path: Path, place: Path) -> Path:
    try:
        os.link(path, place)
    except OSError:
        shutil.copyfile(path, place)
    return place
