"""The weights catalogue: named safetensors files, checked before a component sees them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import attrs
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mmfa_components.errors import OutputError, WeightsError, did_you_mean, reason_of


@attrs.frozen
class WeightsFile:
    """One named weights file.

    name: how components ask for it.  path: where it lies (inside the plugin's package).  architecture: must equal the
    ``architecture`` entry of the file's own metadata.  sha256: digest of the file, "" for files that are not shipped.
    licence, origin: shown by ``mmfa plugins show``.  same_as: digest of an earlier file with the same tensors, under which results
    are known in caches, "" for the file's own.
    """

    name: str
    path: Path
    architecture: str
    sha256: str = ""
    licence: str = ""
    origin: str = ""
    same_as: str = ""


@cache
def _digest(path: Path, *changes: int) -> str:  # ``changes`` differ whenever the file was written or replaced
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digest(path: Path) -> str:
    """sha256 of a file, remembered until it changes. Raises WeightsError when it cannot be read."""
    try:
        stat = path.stat()
        return _digest(path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
    except OSError as error:
        fix = "give the path of an existing weights file, or reinstall the package that ships it"
        raise WeightsError(f"weights file cannot be read ({reason_of(error)})", where=str(path), fix=fix) from error


def read_weights(path: Path, architecture: str, sha256: str = "") -> dict[str, Tensor]:
    """Read a safetensors file whose metadata says ``architecture``.

    Raises WeightsError when the file is missing, truncated, changed (``sha256``) or of another architecture.
    """
    actual = file_digest(path)
    where = str(path)
    if sha256 and actual != sha256:
        what = "the file's content is not the one that was shipped: it is damaged, truncated or replaced"
        raise WeightsError(what, where=where, fix="reinstall the package, or name your own file under weights")
    try:
        with safe_open(path, framework="pt") as file:
            stated = (file.metadata() or {}).get("architecture")
            if stated is None:
                fix = f"use a file made for {architecture!r} by this project's commands"
                raise WeightsError("does not say what architecture it was made for", where=where, fix=fix)
            if stated != architecture:
                fix = f"use a file made for {architecture!r}, or select the options that {stated!r} was trained with"
                raise WeightsError(f"made for architecture {stated!r}, not {architecture!r}", where=where, fix=fix)
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"damaged or truncated weights file ({error})", where=where, fix="copy or reinstall the file") from error


def write_weights(path: Path, tensors: dict[str, Tensor], notes: dict[str, str], fix: str = "free space there, or name another folder") -> None:
    """Write a safetensors file with ``notes`` as its metadata; atomic: it is whole or not there, and an older one stays until then.

    Raises OutputError, which says ``fix``, when it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, part, notes)
        part.chmod(0o644)  # the writer keeps it to the user; a shared folder is for all
        part.replace(path)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"weights cannot be written ({reason_of(error)})", where=str(path), fix=fix) from error
    finally:
        part.unlink(missing_ok=True)


def load_into(module: nn.Module, tensors: dict[str, Tensor], where: str) -> None:
    """Load ``tensors`` into ``module`` exactly. Raises WeightsError naming the first missing, extra or misfit keys."""
    wanted = module.state_dict()
    faults = [f"missing {k}" for k in wanted.keys() - tensors.keys()]
    faults += [f"unexpected {k}" for k in tensors.keys() - wanted.keys()]
    faults += [
        f"{k} is {tuple(tensors[k].shape)}, expected {tuple(wanted[k].shape)}"
        for k in wanted.keys() & tensors.keys()
        if tensors[k].shape != wanted[k].shape
    ]
    faults += [
        f"{k} is {tensors[k].dtype}, expected {wanted[k].dtype}"
        for k in wanted.keys() & tensors.keys()
        if tensors[k].is_floating_point() != wanted[k].is_floating_point()
    ]
    if faults:
        text = "; ".join(sorted(faults)[:4]) + (f"; and {len(faults) - 4} more" if len(faults) > 4 else "")
        raise WeightsError(f"weights do not fit the network: {text}", where=where, fix="use weights made with the same options")
    with torch.no_grad():
        module.load_state_dict({k: v.to(wanted[k].dtype) for k, v in tensors.items()})


@attrs.frozen
class WeightsCatalogue:
    """All weights files known by name, plus the user's replacements (``overrides``: name -> path)."""

    files: dict[str, WeightsFile]
    overrides: dict[str, Path] = attrs.field(factory=dict)

    @classmethod
    def of(cls, files: Iterable[WeightsFile], overrides: dict[str, Path] | None = None) -> WeightsCatalogue:
        """Build a catalogue. Raises WeightsError for an override of an unknown name."""
        by_name = {f.name: f for f in files}
        for name in overrides or {}:
            if name not in by_name:
                raise WeightsError(f"no weights are named {name!r}", where="weights", fix=did_you_mean(name, by_name))
        return cls(by_name, dict(overrides or {}))

    def path(self, name: str) -> Path:
        """The file behind ``name``. Raises WeightsError for an unknown name."""
        if name not in self.files:
            raise WeightsError(f"no weights are named {name!r}", where="weights", fix=did_you_mean(name, self.files))
        return self.overrides.get(name, self.files[name].path)

    def digest(self, name: str) -> str:
        """What stands for the file behind ``name`` in every cache key: its sha256, or that of an earlier file with the same tensors."""
        path = self.path(name)
        known = "" if name in self.overrides else self.files[name].same_as
        return known or file_digest(path)

    def read(self, name: str) -> dict[str, Tensor]:
        """The tensors of ``name`` on the CPU, checked. Raises WeightsError (see :func:`read_weights`)."""
        path = self.path(name)
        shipped = name not in self.overrides
        return read_weights(path, self.files[name].architecture, self.files[name].sha256 if shipped else "")

    def load(self, name: str, module: nn.Module) -> None:
        """Load ``name`` into ``module``. Raises WeightsError when the file is wrong or does not fit."""
        load_into(module, self.read(name), str(self.path(name)))


def metadata(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file. Raises WeightsError when it is damaged."""
    file_digest(path)
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"damaged or truncated weights file ({error})", where=str(path), fix="reinstall it") from error


def options_metadata(options: attrs.AttrsInstance) -> str:
    """Options of a network as the JSON text that is stored in weights metadata."""
    return json.dumps(attrs.asdict(options), sort_keys=True)
