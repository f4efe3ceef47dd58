"""Why a record was or was not reused: the differences between the pre-images of two keys, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from cache.listing import Entry, entries

_COMPONENT = ("kind", "name", "version", "options", "weights", "parts")


@attrs.frozen
class Comparison:
    """Another entry of the same input or name, and what differs, from it to the entry that is explained."""

    other: Entry
    differences: tuple[str, ...]


def relatives(folder: Path, entry: Entry) -> list[Comparison]:
    """Entries of the same record and the same input or input name, those most alike first."""
    found = []
    for other in entries(folder):
        same_input = other.hashed.get("input") == entry.hashed.get("input")
        same_name = bool(entry.input_name) and other.input_name == entry.input_name
        if other.digest != entry.digest and other.hashed and other.record_name == entry.record_name and (same_input or same_name):
            found.append(Comparison(other, differences(other.hashed, entry.hashed)))
    return sorted(found, key=lambda c: (len(c.differences), c.other.created, c.other.digest))


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """What changed from one pre-image to another, one sentence a field."""
    lines: list[str] = []
    if old.get("record") != new.get("record"):
        lines.append(f"record schema changed: {old.get('record')} -> {new.get('record')}")
    if old.get("input") != new.get("input"):
        lines.append(f"content of the input changed: {_short(old.get('input'))} -> {_short(new.get('input'))}")
    if old.get("precision") != new.get("precision"):
        lines.append(f"precision changed: {old.get('precision')} -> {new.get('precision')}")
    lines += _components(old.get("components", []), new.get("components", []), "")
    lines += _values(old.get("options", {}), new.get("options", {}), "option {name} changed: {old} -> {new}")
    known = ("record", "input", "precision", "components", "options")
    rest_old, rest_new = ({k: v for k, v in d.items() if k not in known} for d in (old, new))
    lines += _values(rest_old, rest_new, "{name} changed: {old} -> {new}")
    return tuple(lines)


def _components(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]], owner: str) -> list[str]:
    before, after = _by_kind(old), _by_kind(new)
    lines = []
    for kind in dict.fromkeys([*before, *after]):
        if kind not in after:
            lines.append(f"{kind} {before[kind].get('name')}{owner} is no longer used")
        elif kind not in before:
            lines.append(f"{kind} {after[kind].get('name')}{owner} is new")
        else:
            lines += _component(kind, before[kind], after[kind], owner)
    return lines


def _component(kind: str, old: Mapping[str, Any], new: Mapping[str, Any], owner: str) -> Iterator[str]:
    if old.get("name") != new.get("name"):
        yield f"{kind}{owner} changed: {old.get('name')} -> {new.get('name')}"
        return
    label = f"{kind} {new.get('name')}{owner}"
    if old.get("version") != new.get("version"):
        yield f"version of {label} changed: {old.get('version')} -> {new.get('version')}"
    yield from _values(old.get("options", {}), new.get("options", {}), f"option {{name}} of {label} changed: {{old}} -> {{new}}")
    weights_old, weights_new = old.get("weights", {}), new.get("weights", {})
    if isinstance(weights_old, Mapping) and isinstance(weights_new, Mapping):
        many = len(set(weights_old) | set(weights_new)) > 1
        name = " {name}" if many else ""
        yield from _values(weights_old, weights_new, f"weights{name} of {label} changed: {{old}} -> {{new}}")
    elif weights_old != weights_new:
        yield f"weights of {label} changed: {_short(weights_old)} -> {_short(weights_new)}"
    yield from _components(old.get("parts", []), new.get("parts", []), f" of {label}")
    rest_old, rest_new = ({k: v for k, v in d.items() if k not in _COMPONENT} for d in (old, new))
    yield from _values(rest_old, rest_new, f"{{name}} of {label} changed: {{old}} -> {{new}}")


def _by_kind(components: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Components by kind; the second of a kind is called "kind 2"."""
    named: dict[str, Mapping[str, Any]] = {}
    for component in components:
        kind, count = str(component.get("kind", "component")), 2
        label = kind
        while label in named:
            label, count = f"{kind} {count}", count + 1
        named[label] = component
    return named


def _values(old: Mapping[str, Any], new: Mapping[str, Any], text: str, prefix: str = "") -> Iterator[str]:
    """One line for every leaf that differs; nested mappings are named with dots."""
    for key in dict.fromkeys([*old, *new]):
        name, missing = f"{prefix}{key}", object()
        a, b = old.get(key, missing), new.get(key, missing)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            yield from _values(a, b, text, f"{name}.")
        elif a != b or type(a) is not type(b):
            yield text.format(name=name, old="(none)" if a is missing else _short(a), new="(none)" if b is missing else _short(b))


def _short(value: Any) -> str:
    """Digests shortened to their first 12 letters, everything else as it is."""
    text = str(value)
    plain = text.removeprefix("sha256:")
    if len(plain) >= 32 and all(c in "0123456789abcdef" for c in plain):
        return f"{text[: len(text) - len(plain) + 12]}..."
    return text
