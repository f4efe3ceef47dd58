"""TOML values to attrs classes through cattrs: strict about types, all faults at once, each with its TOML path."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import attrs
from cattrs import BaseValidationError, ClassValidationError, Converter, ForbiddenExtraKeysError, IterableValidationError, IterableValidationNote
from cattrs.gen import make_dict_structure_fn, override
from cattrs.v import format_exception as cattrs_message

from mmfa_components.errors import MMFAError, did_you_mean
from pipelines.config.faults import Fault, Key, dotted
from pipelines.config.schema import rest_of

T = TypeVar("T")
NAMES: Mapping[Any, str] = {
    int: "a whole number", float: "a number", bool: "true or false", str: "a text", Path: "a path (text)",
}  # fmt: skip


class WrongValueError(ValueError):
    """A value of the wrong type or not among the allowed ones; its text is for the user."""

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.fix = fix


def shown(value: object) -> str:
    """A TOML value as the user wrote it, shortened, with its type in plain words."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {value[:60]!r}"
    if isinstance(value, (int, float)):
        return f"the number {value!r}"
    if isinstance(value, Mapping):
        return "a table"
    return "a list" if isinstance(value, (list, tuple)) else repr(value)[:60]


def _exactly(kind: type) -> Callable[[Any, Any], Any]:
    def check(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise WrongValueError(f"expected {NAMES[kind]}, got {shown(value)}")
        return value

    return check


def _float(value: Any, _: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise WrongValueError(f"expected a number, got {shown(value)}")
    return float(value)


def _path(value: Any, _: Any) -> Path:
    if not isinstance(value, str):
        raise WrongValueError(f"expected a path (text), got {shown(value)}")
    return Path(value)


def _literal(value: Any, kind: Any) -> Any:
    allowed = get_args(kind)
    if any(type(value) is type(a) and value == a for a in allowed):
        return value
    listed = ", ".join(repr(a) for a in allowed)
    close = did_you_mean(value, [a for a in allowed if isinstance(a, str)]) if isinstance(value, str) else ""
    raise WrongValueError(f"expected one of {listed}, got {shown(value)}", close if close.startswith("did") else "")


def _is_literal(kind: Any) -> bool:
    origin: Any = get_origin(kind)
    return origin is Literal


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


def _name(kind: Any) -> str:
    if _is_literal(kind):
        return f"one of {', '.join(map(repr, get_args(kind)))}"
    return NAMES.get(kind) or ("a list" if _is_list(kind) else "a table")


def _is_list(kind: Any) -> bool:
    return kind in (list, tuple, set, frozenset) or get_origin(kind) in (list, tuple, set, frozenset, Sequence)


def _is_table(kind: Any) -> bool:
    return kind is dict or get_origin(kind) in (dict, Mapping)


def _list(value: Any, kind: Any, converter: Converter) -> Any:
    if not isinstance(value, (list, tuple)):
        raise WrongValueError(f"expected a list, got {shown(value)}", "" if isinstance(value, Mapping) else "put it into [ ]")
    maker, kinds = get_origin(kind) or kind, list(get_args(kind)) or [Any]
    if maker is tuple and kinds[-1] is not Ellipsis and get_args(kind):
        if len(value) != len(kinds):
            raise WrongValueError(f"expected a list of {len(kinds)}, got one of {len(value)}")
    else:
        kinds = kinds[:1] * len(value)
    items = _each([(i, v, k) for i, (v, k) in enumerate(zip(value, kinds, strict=True))], kind, converter)
    return (maker if maker in (tuple, set, frozenset) else list)(items.values())


def _table(value: Any, kind: Any, converter: Converter) -> Any:
    if not isinstance(value, Mapping):
        raise WrongValueError(f"expected a table, got {shown(value)}")
    of = (get_args(kind) or (str, Any))[1]
    return _each([(key, v, of) for key, v in value.items()], kind, converter)


def _each(items: list[tuple[Any, Any, Any]], kind: Any, converter: Converter) -> dict[Any, Any]:
    """Structure (key, value, type) items. Raises IterableValidationError with every item's fault."""
    built: dict[Any, Any] = {}
    errors: list[Exception] = []
    for key, value, of in items:
        try:
            built[key] = converter.structure(value, of)
        except Exception as error:  # collected, with its place, as cattrs does
            error.__notes__ = [*getattr(error, "__notes__", []), IterableValidationNote(f"at {key!r}", key, of)]
            errors.append(error)
    if errors:
        raise IterableValidationError(f"while structuring {kind!r}", errors, kind)
    return built


def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True, detailed_validation=True)
    leaves: tuple[type, ...] = (int, bool, str)
    for kind in leaves:
        converter.register_structure_hook(kind, _exactly(kind))
    converter.register_structure_hook(float, _float)
    converter.register_structure_hook(Path, _path)
    converter.register_structure_hook_func(_is_literal, _literal)

    def union(value: Any, kind: Any) -> Any:
        if value is None and type(None) in get_args(kind):
            return None
        choices = [choice for choice in get_args(kind) if choice is not type(None)]
        for choice in choices:
            try:
                return converter.structure(value, choice)
            except (WrongValueError, BaseValidationError) as error:
                if len(choices) == 1 or (isinstance(value, (Mapping, list)) and isinstance(error, BaseValidationError)):
                    raise
        raise WrongValueError(f"expected {' or '.join(map(_name, choices))}, got {shown(value)}")

    converter.register_structure_hook_func(_is_union, union)

    converter.register_structure_hook_func(_is_list, lambda value, kind: _list(value, kind, converter))
    converter.register_structure_hook_func(_is_table, lambda value, kind: _table(value, kind, converter))
    converter.register_structure_hook_factory(attrs.has, _attrs_hook)
    return converter


def _attrs_hook(cls: type[Any], converter: Any) -> Callable[[Any, Any], Any]:
    """Structure a table as an attrs class; each value meets its own validator, so that all faults are found at once."""
    attrs.resolve_types(cls)

    def field_hook(field: attrs.Attribute[Any]) -> Callable[[Any, Any], Any]:
        def check(value: Any, kind: Any) -> Any:
            result = _CONVERTER.structure(value, kind)
            if field.validator is not None and field.converter is None:
                field.validator(None, field, result)
            return result

        return check

    rest = rest_of(cls)
    fields: dict[str, Any] = {f.name: override(struct_hook=field_hook(f)) for f in attrs.fields(cls) if f.init}
    inner = make_dict_structure_fn(cls, converter, _cattrs_forbid_extra_keys=True, _cattrs_detailed_validation=True, **fields)

    def structure_table(value: Any, target: Any) -> Any:
        if not isinstance(value, Mapping):
            raise WrongValueError(f"expected a table, got {shown(value)}", _a_key_of(cls, value))
        if rest:
            unnamed = {key: item for key, item in value.items() if key == rest or key not in fields}
            value = {**{key: item for key, item in value.items() if key not in unnamed}, rest: unnamed}
        return inner(value, target)

    return structure_table


def _a_key_of(cls: type[Any], value: Any) -> str:
    """Which key of a table a plain value was perhaps meant for: the first that takes its type, with all of them."""
    names = [f.name for f in attrs.fields(cls) if f.init]
    usual = ("name", "offset", "folder", "run", "value")  # what people mean when they give a table one value
    fitting = [n for n in (*usual, *names) if n in names and structure(value, attrs.fields_dict(cls)[n].type or object)[1] == []]
    such = f"such as {fitting[0]} = {value!r}; " if fitting else ""
    return f"it has keys of its own, {such}all: {', '.join(names)}".replace("True", "true").replace("False", "false")


_CONVERTER: Converter = _converter()


Found = list[tuple[tuple[Key, ...], Fault]]
"""Faults with their TOML paths."""


def structure(value: object, cls: type[T], path: tuple[Key, ...] = ()) -> tuple[T | None, Found]:
    """Build ``cls`` from TOML data, and the faults with their paths; the object is None when there are any."""
    try:
        return _CONVERTER.structure(value, cls), []
    except Exception as error:  # cattrs wraps whatever validators and hooks raise
        return None, _faults(error, path, cls)


def salvage(value: Mapping[str, Any], cls: type[T], path: tuple[Key, ...] = ()) -> tuple[T | None, Found]:
    """As :func:`structure`, but with defaults in place of faulty values where that is possible, so that checking can go on."""
    built, faults = structure(value, cls, path)
    found = list(faults)
    rest: Any = value
    for _ in range(3):
        if built is not None or not faults:
            break
        for where, _fault in faults:
            rest = without(rest, where[len(path) :])
        built, faults = structure(rest, cls, path)
    return built, found


def without(value: Any, path: Sequence[Key]) -> Any:
    """A copy of nested TOML data without what lies at ``path``; a faulty element of a list takes its whole list along."""
    if not path or not isinstance(value, Mapping) or path[0] not in value:
        return value
    copy = dict(value)
    if len(path) == 1 or not isinstance(copy[path[0]], Mapping):
        del copy[path[0]]
    else:
        copy[path[0]] = without(copy[path[0]], path[1:])
    return copy


def _faults(error: BaseException, path: tuple[Key, ...], cls: Any) -> Found:
    if isinstance(error, ClassValidationError):
        noted, plain = error.group_exceptions()
        rest = rest_of(error.cl)
        found = [f for e, note in noted for f in _faults(e, path if note.name == rest else (*path, note.name), note.type)]
        return found + [f for e in plain for f in _faults(e, path, error.cl)]
    if isinstance(error, IterableValidationError):
        items, others = error.group_exceptions()
        found = [f for e, item in items for f in _faults(e, (*path, item.index), item.type)]
        return found + [f for e in others for f in _faults(e, path, cls)]
    if isinstance(error, ForbiddenExtraKeysError):
        known = [f.name for f in attrs.fields(error.cl) if f.init]
        keys = sorted(error.extra_fields)
        return [((*path, key), Fault(dotted((*path, key)), "no such key here", did_you_mean(key, known))) for key in keys]
    fix = getattr(error, "fix", "")
    return [(path, Fault(dotted(path), message(error), fix))]


def message(error: BaseException) -> str:
    """The user's text of one exception; the messages of attrs validators are kept."""
    if isinstance(error, MMFAError):
        return error.what
    if isinstance(error, WrongValueError):
        return str(error)
    if isinstance(error, KeyError):
        return "is missing"
    if isinstance(error, (ValueError, TypeError)) and error.args:
        return str(error.args[0])
    return cattrs_message(error, None)
