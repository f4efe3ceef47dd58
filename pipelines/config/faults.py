"""A list of everything wrong with a pipeline file, told to the user at once."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from mmfa_components.errors import ConfigError, MMFAError

Key = str | int


@attrs.frozen
class Fault:
    """One fault. where: TOML path, option or file.  what: what is wrong.  fix: what to do, may be empty."""

    where: str
    what: str
    fix: str = ""

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  -> {self.fix}" if self.fix else head


@attrs.define
class Faults:
    """Collects faults; ``keys`` are the TOML paths that already have one, so that later checks leave them alone."""

    items: list[Fault] = attrs.field(factory=list)
    keys: list[tuple[Key, ...]] = attrs.field(factory=list)

    def add(self, where: str, what: str, fix: str = "") -> None:
        """Note a fault once."""
        fault = Fault(where, what, fix)
        if fault not in self.items:
            self.items.append(fault)

    def add_error(self, error: MMFAError, where: str = "") -> None:
        """Note an error raised by a check; ``where`` goes before the error's own place."""
        place = " ".join(dict.fromkeys(p for p in (where, error.where) if p))
        self.add(place, error.what, error.fix)

    def touches(self, *path: Key) -> bool:
        """True when the value at a TOML path is known to be faulty, or a table around or inside it."""
        return any(path[: len(key)] == key or key[: len(path)] == path for key in self.keys)

    def raise_if_any(self, origin: str) -> None:
        """Raise one ConfigError that lists all faults of the file ``origin``."""
        if not self.items:
            return
        if len(self.items) == 1:
            only = self.items[0]
            raise ConfigError(only.what, where=f"{origin}: {only.where}" if only.where else origin, fix=only.fix)
        lines = [str(fault).replace("\n", "\n  ") for fault in self.items]
        raise ConfigError("\n  ".join([f"{len(self.items)} faults", *lines]), where=origin)


def dotted(path: Sequence[Key]) -> str:
    """A TOML path as text: ``a.b[2]."odd key"``."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            plain = key.replace("-", "_").isidentifier() or key.isdigit()
            text += ("." if text else "") + (key if plain else f'"{key}"')
    return text
