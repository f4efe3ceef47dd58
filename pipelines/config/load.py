"""From a pipeline file to a checked plan. Everything that is wrong is reported at once."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from mmfa_components.errors import ConfigError, reason_of
from pipelines.config.faults import Faults
from pipelines.config.overrides import apply_overrides
from pipelines.config.places import filled
from pipelines.config.schema import Pipeline
from pipelines.config.structuring import salvage

P = TypeVar("P")


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises ConfigError naming the file, and for wrong syntax the line."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"cannot be read ({reason_of(error)})", where=str(path), fix="check the path") from error
    except UnicodeDecodeError as error:
        raise ConfigError("is not UTF-8 text", where=str(path), fix="save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"is not valid TOML: {error}", where=str(path), fix="correct that line; texts need quotes") from error


def load_pipeline(path: Path, overrides: Sequence[str] = ()) -> Pipeline:
    """The pipeline of a file, schema and overrides checked, inputs and plugins not. Raises ConfigError listing all faults."""
    faults = Faults()
    pipeline = read_pipeline(path, overrides, Pipeline, faults)
    faults.raise_if_any(str(path))
    return pipeline


def read_pipeline(path: Path, overrides: Sequence[str], schema: type[P], faults: Faults) -> P:
    """A pipeline file as ``schema``, defaults in place of faulty values; what is wrong is noted in ``faults``.

    Raises ConfigError when nothing can be made of the file.
    """
    raw = apply_overrides(read_toml(path), overrides, faults, schema)
    here = str(path.resolve().parent)
    raw = {key: value if key in ("inputs", "description") else _placed(value, here) for key, value in raw.items()}
    pipeline, found = salvage(raw, schema)
    for place, fault in found:
        faults.keys.append(place)
        faults.add(fault.where, fault.what, fault.fix)
    if pipeline is None:
        faults.raise_if_any(str(path))
        raise ConfigError("cannot be understood", where=str(path), fix="compare it with the pipelines that are shipped")
    weights: dict[str, str] = getattr(pipeline, "weights", {})
    for name, file in weights.items():
        weights[name] = str(Path(file).expanduser())
    return pipeline


def _placed(value: Any, here: str) -> Any:
    """``value`` with the places in all its texts filled in; ``here`` is the folder of the file."""
    if isinstance(value, str):
        return filled(value, here)
    if isinstance(value, dict):
        return {key: _placed(item, here) for key, item in value.items()}
    return [_placed(item, here) for item in value] if isinstance(value, list) else value
