"""The keys of pipeline files as plain data: types, defaults, limits and explanations, out of the schema's classes; also as JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import attrs

from pipelines.config.places import CACHE, cache_folder
from pipelines.config.schema import rest_of

PLAIN: Mapping[Any, tuple[str, str]] = {
    bool: ("boolean", "true or false"),
    int: ("integer", "whole number"),
    float: ("number", "number"),
    str: ("string", "text"),
    Path: ("string", "path"),
}
"""Types of values: the name in JSON Schema, and in words."""
LIMITS = {">=": "minimum", ">": "exclusiveMinimum", "<=": "maximum", "<": "exclusiveMaximum"}
DRAFT = "https://json-schema.org/draft/2020-12/schema"


@attrs.frozen
class KeyFacts:
    """One key, or a table of keys.

    path: dotted.  values: what it takes, in words.  default: as TOML text, "" for tables.  about: explanation, may be empty.
    """

    path: str
    values: str
    default: str
    about: str


def keys_of(schema: type[Any], prefix: str = "", made: Any = None) -> Iterator[KeyFacts]:
    """All keys of a schema: those of a table, then the tables in it. made: an instance whose values are the defaults."""
    made = schema() if made is None else made
    about = explanations(schema)
    fields = attrs.fields(attrs.resolve_types(schema))
    for field in sorted(fields, key=lambda field: attrs.has(field.type)):
        path, value = f"{prefix}{field.name}", getattr(made, field.name)
        if field.name == rest_of(schema):  # stands for keys that the animator names
            yield KeyFacts(f"{prefix}<{field.name.rstrip('s')}>", in_words(get_args(field.type)[1]), "", about.get(field.name, ""))
        elif attrs.has(field.type):
            yield KeyFacts(path, "table", "", about.get(field.name, "") or head(field.type))
            yield from keys_of(field.type, f"{path}.", value)
        else:
            words = in_words(field.type) + "".join(f", {op} {bound:g}" for op, bound in _bounds(field.validator))
            yield KeyFacts(path, words, toml(CACHE if field.converter is cache_folder else plain(value)), about.get(field.name, ""))


def json_schema(schema: type[Any], made: Any = None) -> dict[str, Any]:
    """A class of the schema as a JSON Schema object. made: an instance whose values are the defaults, None for no defaults."""
    about, properties, required = explanations(schema), {}, []
    others: Any = False
    for field in attrs.fields(attrs.resolve_types(schema)):
        if field.name == rest_of(schema):
            others = _typed(get_args(field.type)[1])
            continue
        value = None if made is None else getattr(made, field.name)
        if attrs.has(field.type):
            one = json_schema(field.type, value)
        else:
            one = {**_typed(field.type), **{LIMITS[op]: bound for op, bound in _bounds(field.validator)}}
            if value is not None:
                one["default"] = CACHE if field.converter is cache_folder else plain(value)
        text = about.get(field.name, "") or (head(field.type) if attrs.has(field.type) else "")
        properties[field.name] = one | ({"description": text} if text else {})
        if field.default is attrs.NOTHING and made is None:
            required.append(field.name)
    return {"type": "object", "properties": properties, "additionalProperties": others} | ({"required": required} if required else {})


def json_schema_of_kinds(kinds: Mapping[str, type[Any]], default: str) -> dict[str, Any]:
    """One JSON Schema for files of all kinds; a file without ``kind`` is of the kind ``default``."""
    choices = []
    for name, schema in kinds.items():
        one = json_schema(schema, schema())
        one["properties"]["kind"] = {"const": name}
        choices.append(one if name == default else one | {"required": ["kind"]})
    return {"$schema": DRAFT, "title": "MMFA pipeline", "anyOf": choices}


def head(schema: type[Any]) -> str:
    """The first sentence of what a class's docstring says before it comes to the fields."""
    text = _words(schema)
    marks = _marks(schema, schema)
    found = re.match(r".+?\.(?= |$)", text[: marks[0].start()] if marks else text)
    return found[0] if found else ""


def explanations(schema: type[Any]) -> dict[str, str]:
    """What the docstrings of a class and its bases say of each field: ``name, other: text.`` until the next one."""
    found: dict[str, str] = {}
    names = [field.name for field in attrs.fields(schema)]
    for cls in schema.__mro__:
        for mark, following in pairwise([*_marks(cls, schema), None]):
            assert mark is not None
            said = _words(cls)[mark.end() : following.start() if following else None].strip()
            for name in _span(mark[1], names):
                found.setdefault(name, said)
    return found


def _marks(cls: type[Any], schema: type[Any]) -> list[re.Match[str]]:
    """Where the docstring of ``cls`` begins to speak of fields of ``schema``."""
    names = {field.name for field in attrs.fields(schema)}
    marks = re.finditer(r"(?<![(\w])((?:\w+(?:, | to ))*\w+): ", _words(cls) if attrs.has(cls) else "")
    return [mark for mark in marks if set(re.findall(r"\w+", mark[1])) - {"to"} <= names]


def _words(cls: type[Any]) -> str:
    return " ".join((cls.__doc__ or "").replace("``", "").split())


def _span(text: str, names: list[str]) -> list[str]:
    """The fields that ``a, b`` or ``a to c`` names."""
    first, _, last = text.partition(" to ")
    if last:
        return names[names.index(first.split(", ")[-1]) : names.index(last) + 1]
    return text.split(", ")


def plain(value: Any) -> Any:
    """A value of the schema as plain data."""
    return attrs.asdict(_Holder(value))["value"]


@attrs.frozen
class _Holder:
    value: Any


def toml(value: Any) -> str:
    """A default as TOML text, "" for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml, value))}]"
    return str(value)


def in_words(kind: Any) -> str:
    """A type in words: ``"a", "b"`` or ``list of text``."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return ", ".join(map(toml, inner))
    if origin is Union or type(kind).__name__ == "UnionType":
        return " or ".join(in_words(k) for k in inner if k is not type(None))
    if origin in (tuple, list):
        if inner[-1] is Ellipsis or origin is list:
            return f"list of {in_words(inner[0])}"
        return f"list of {len(inner)}: {', '.join(map(in_words, inner))}"
    if origin is dict:
        return f"table of {in_words(inner[1])}"
    return "any value" if kind is Any else "table" if attrs.has(kind) else PLAIN[kind][1]


def _typed(kind: Any) -> dict[str, Any]:
    origin, inner = get_origin(kind), get_args(kind)
    if attrs.has(kind):
        return json_schema(kind)
    if origin is Literal:
        return {"enum": list(inner)}
    if origin is Union or type(kind).__name__ == "UnionType":
        return {"anyOf": [_typed(k) for k in inner if k is not type(None)]}
    if origin is dict:
        return {"type": "object", "additionalProperties": _typed(inner[1])}
    if origin in (tuple, list):
        if inner[-1] is Ellipsis or origin is list:
            return {"type": "array", "items": _typed(inner[0])}
        return {"type": "array", "prefixItems": [_typed(k) for k in inner], "minItems": len(inner), "maxItems": len(inner)}
    return {} if kind is Any else {"type": PLAIN[kind][0]}


def _bounds(validator: Any) -> Iterator[tuple[str, float]]:
    """Comparisons that a validator, or several, make."""
    for one in getattr(validator, "_validators", (validator,)):
        if hasattr(one, "bound") and one.compare_op in LIMITS:
            yield one.compare_op, one.bound
