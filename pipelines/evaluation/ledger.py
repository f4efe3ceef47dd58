"""What was measured stays measured: one safetensors file a case, named by the digest of everything that decides it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from cache.keys import digest_of, plain
from mmfa_components.errors import OutputError, reason_of


@attrs.frozen(eq=False)
class Case:
    """One measured case. row: of the table.  clip, portrait: names, portrait may be "".  tensors: what was measured, by name."""

    protocol: str
    row: str
    clip: str
    portrait: str
    tensors: dict[str, Tensor]

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.portrait} x {self.clip}" if self.portrait and self.clip else self.portrait or self.clip


class Ledger:
    """Finished cases below a folder; a run that is started again goes on where it was."""

    def __init__(self, folder: Path) -> None:
        """Make the folder. Raises OutputError."""
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(folder, error) from error

    def key(self, decides: Mapping[str, Any]) -> str:
        """The digest of everything that decides a case. Raises CacheError for what has no JSON form."""
        return digest_of(plain(dict(decides), "case"))

    def get(self, key: str) -> Case | None:
        """A finished case, None when it is not there or damaged."""
        path = self.folder / f"{key}.safetensors"
        try:
            with safe_open(path, framework="pt") as file:
                notes = json.loads((file.metadata() or {})["case"])
                return Case(**notes, tensors={name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            return None

    def put(self, key: str, case: Case) -> None:
        """Keep a case. Raises OutputError."""
        path = self.folder / f"{key}.safetensors"
        part = path.with_name(f".{key}.{os.getpid()}.part")
        notes = {name: getattr(case, name) for name in ("protocol", "row", "clip", "portrait")}
        try:
            save_file({name: tensor.contiguous() for name, tensor in case.tensors.items()}, part, {"case": json.dumps(notes)})
            part.replace(path)
        except (OSError, SafetensorError) as error:
            part.unlink(missing_ok=True)
            raise _unwritable(self.folder, error) from error


def _unwritable(folder: Path, error: Exception) -> OutputError:
    fix = "free space there, or choose another output.folder"
    return OutputError(f"results cannot be written here ({reason_of(error)})", where=str(folder), fix=fix)
