"""``--set a.b=c``: change values of a pipeline file from the command line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args, get_origin

import attrs

from mmfa_components.errors import did_you_mean
from pipelines.config.faults import Faults
from pipelines.config.schema import Pipeline, rest_of

INSTEAD = {"jobs": ("sources", "driving"), "manifest": ("clips", "portraits", "files")}
"""Keys of [inputs] that are given instead of others: one on the command line takes the place of the others in the file."""
KEY = re.compile(r'\s*(?:"(?P<quoted>[^"]*)"|(?P<plain>[^.="\[\]]+))\s*')


def parse_value(text: str) -> Any:
    """A TOML value (``3``, ``true``, ``["a", "b"]``, ``{x = 1}``); anything that is not TOML is taken as text."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if set(parsed) == {"value"} else text


def parse_key(text: str) -> list[str | int] | None:
    """``a.b[0]."c d"`` or ``a.b.0`` as a list of keys, numbers for list items; None when it is not a key."""
    keys: list[str | int] = []
    rest = text.strip()
    while rest:
        item = re.match(r"\[(\d+)\]\.?", rest)
        if item and keys:
            keys.append(int(item[1]))
            rest = rest[item.end() :]
            continue
        found = KEY.match(rest)
        if not found:
            return None
        keys.append(found["quoted"] if found["quoted"] is not None else found["plain"].strip())
        rest = rest[found.end() :]
        if rest.startswith("."):
            rest = rest[1:]
            if not rest:
                return None
        elif rest and not rest.startswith("["):
            return None
    return keys or None


def apply_overrides(raw: dict[str, Any], overrides: Iterable[str], faults: Faults, schema: type[Any] = Pipeline) -> dict[str, Any]:
    """``raw`` with every ``a.b=c`` applied in order. Faults name the argument; keys that ``schema`` lacks get a did-you-mean."""
    result: dict[str, Any] = _copied(raw)
    given: set[str] = set()
    for argument in overrides:
        name, equals, text = argument.partition("=")
        where, keys = f"--set {argument}", parse_key(name)
        if not equals or keys is None or not isinstance(keys[0], str):
            faults.add(where, "is not of the form key=value", "write it as in --set output.quality=20")
            continue
        value = parse_value(text)
        of = _declared(keys, where, faults, schema)
        if of is None:
            continue
        if of is str and not isinstance(value, str):
            value = text  # a text that looks like a number, such as a folder 2026
        if isinstance(value, str) and get_origin(of) is tuple:
            value = _listed(value)
        if keys[0] == "inputs" and len(keys) > 1 and value:
            given.add(str(keys[1]))
        _put(result, keys, value, where, faults)
    _put_in_place(result.get("inputs"), given)
    return result


def _listed(text: str) -> list[Any]:
    """One path where a list of them is meant, or a list whose texts have lost their quotes to the shell: ``[a.jpg, b.jpg]``."""
    if not (text.startswith("[") and text.endswith("]")) or Path(text).exists():
        return [text]
    return [parse_value(item.strip()) for item in text[1:-1].split(",") if item.strip()]


def _put_in_place(inputs: Any, given: set[str]) -> None:
    """Take out of [inputs] what keys of the command line were given instead of."""
    for one, others in INSTEAD.items():
        both = one in given and given.intersection(others)
        if isinstance(inputs, dict) and not both:  # both on the command line is a fault, which is told
            for key in others if one in given else [one] if given.intersection(others) else []:
                inputs.pop(key, None)


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _copied(v) for k, v in value.items()}
    return [_copied(v) for v in value] if isinstance(value, list) else value


def _declared(keys: list[str | int], where: str, faults: Faults, schema: type[Any]) -> Any:
    """The declared type of a key of the schema, Any inside free tables; None with a fault noted when there is no such key."""
    of: Any = schema
    for number, key in enumerate(keys):
        if not attrs.has(of):
            return Any
        fields = attrs.fields_dict(attrs.resolve_types(of))
        rest = rest_of(of)
        if rest and (key == rest or key not in fields):
            of = get_args(fields[rest].type)[1]
            continue
        if key not in fields:
            path = ".".join(str(k) for k in keys[: number + 1])
            faults.add(where, f"there is no key {path!r}", did_you_mean(str(key), fields))
            return None
        of = fields[str(key)].type
    return of


def _put(table: Any, keys: list[str | int], value: Any, where: str, faults: Faults) -> None:
    for number, key in enumerate(keys):
        last = number == len(keys) - 1
        if isinstance(table, list):
            index = int(key) if str(key).isdigit() else -1
            if not 0 <= index <= len(table) - (0 if last else 1):
                what = f"{'.'.join(map(str, keys[:number]))} is a list of {len(table)} items"
                faults.add(where, what, "use the number of an item, counted from 0, or the next one to append")
                return
            if last:
                table[index : index + 1] = [value]
            else:
                table = table[index]
        elif isinstance(table, dict):
            if last:
                table[str(key)] = value
            else:
                table = table.setdefault(str(key), {})
        else:
            faults.add(where, f"{'.'.join(map(str, keys[:number]))} is neither a table nor a list", "set that key itself")
            return
