"""Keys of the cache: the sha256 of everything that decides a record, as canonical JSON."""

from __future__ import annotations

import enum
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import attrs

from mmfa_components.errors import CacheError
from mmfa_components.records import Record

FORMAT = 1  # of the pre-image; part of every key


@attrs.frozen
class CacheKey:
    """The identity of one stored record.

    digest: sha256 (hex) of the canonical JSON of ``preimage``.  preimage: what decides the record, JSON-able.
    record: the class it is read back as.  input_name, notes: outside of the digest; the name for people, the notes kept with the entry.
    """

    digest: str
    preimage: dict[str, Any] = attrs.field(eq=False, repr=False)
    record: type[Record] = attrs.field(eq=False)
    input_name: str = attrs.field(default="", eq=False)
    notes: dict[str, str] = attrs.field(factory=dict, eq=False)

    @classmethod
    def of(
        cls,
        record: type[Record],
        components: Sequence[Mapping[str, Any]],
        options: Mapping[str, Any],
        input_digest: str,
        input_name: str = "",
        precision: str = "float32",
    ) -> CacheKey:
        """Make the key of a record.

        Args:
            record: class of the record; its fingerprint (name, schema version, fields) is part of the key.
            components: what made it, in order; mappings with kind, name, version, options and weights (name -> digest).
            options: everything else that changes the result, e.g. crop settings.
            input_digest: digest of the input's content.
            input_name: shown by ``ls`` and ``explain``; not part of the key.
            precision: precision class the record was computed in, e.g. "float32".

        Raises:
            CacheError: a value has no JSON form, or is not finite.
        """
        preimage = {
            "format": FORMAT,
            "record": record.fingerprint(),
            "components": plain(list(components), "components"),
            "options": plain(dict(options), "options"),
            "precision": precision,
            "input": input_digest,
        }
        return cls(digest_of(preimage), preimage, record, input_name)


def digest_of(preimage: Mapping[str, Any]) -> str:
    """sha256 (hex) of the canonical JSON of a pre-image."""
    return hashlib.sha256(canonical_json(preimage).encode()).hexdigest()


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces, plain ASCII: one text for one value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def plain(value: Any, where: str) -> Any:
    """``value`` as JSON can hold it: attrs objects and mappings become dicts, sequences lists, paths text, sets sorted lists.

    Raises CacheError naming the place of a value that has no such form.
    """
    if isinstance(value, enum.Enum):
        return plain(value.value, where)
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise CacheError(f"key {key!r} of a cache key's option is not text", where=where, fix="use text as names of options")
        return {k: plain(v, f"{where}.{k}") for k, v in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((plain(v, where) for v in value), key=canonical_json)
    if isinstance(value, (list, tuple)):
        return [plain(v, f"{where}[{i}]") for i, v in enumerate(value)]
    if attrs.has(type(value)) and not isinstance(value, (type, Record)):
        return {f.name: plain(getattr(value, f.name), f"{where}.{f.name}") for f in attrs.fields(type(value))}
    fix = "use finite numbers, text, lists, mappings or attrs classes of these as options"
    raise CacheError(f"{value!r} cannot be part of a cache key", where=where, fix=fix)
