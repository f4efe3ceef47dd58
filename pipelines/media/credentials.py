"""Content credentials (C2PA): results signed with the user's own certificate. The only module that imports c2pa, an optional package."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import attrs
from PIL import Image

from mmfa_components.errors import ConfigError, OutputError, reason_of

SIGNED = (".mp4", ".mov", ".m4v", ".png", ".jpg", ".jpeg")
"""Suffixes of files that can be signed here."""
MADE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC's word for a picture that a trained model made out of another one."""


@attrs.frozen
class FileSigner:
    """Signs finished files. certificate, key: PEM.  algorithm: such as "es256".  timestamps: URL of an authority, "" for none."""

    certificate: bytes = attrs.field(repr=False)
    key: bytes = attrs.field(repr=False)
    algorithm: str
    timestamps: str = ""

    def sign(self, path: Path, title: str, notes: Mapping[str, str]) -> None:
        """Sign the file in place; ``notes`` go into the manifest beside the statement that a model made the picture.

        Raises OutputError when it cannot be signed; the file is unchanged then.
        """
        signed = path.with_name(f"{path.stem}-signed{path.suffix}")
        try:
            with path.open("rb") as source, signed.open("w+b") as target:
                self._sign(_format(path), source, target, title, notes)
            os.replace(signed, path)
        except Exception as error:  # the library has errors of its own
            fix = "check provenance.certificate, key and algorithm, or leave them empty"
            raise OutputError(f"cannot be signed ({error})", where=title, fix=fix) from error
        finally:
            signed.unlink(missing_ok=True)

    def try_out(self) -> None:
        """Sign a picture of one pixel in memory. Raises ConfigError when certificate, key and algorithm do not fit."""
        picture = io.BytesIO()
        Image.new("RGB", (1, 1)).save(picture, "PNG")
        picture.seek(0)
        try:
            attrs.evolve(self, timestamps="")._sign("image/png", picture, io.BytesIO(), "trial", {})
        except Exception as error:
            fix = "give the certificate chain in PEM (the signer's first), its private key and the key's algorithm"
            raise ConfigError(f"cannot sign with this certificate and key ({error})", where="provenance", fix=fix) from error

    def _sign(self, kind: str, source: Any, target: Any, title: str, notes: Mapping[str, str]) -> None:
        c2pa = _library()
        info = c2pa.C2paSignerInfo(self.algorithm, self.certificate, self.key, self.timestamps or None)
        with c2pa.Signer.from_info(info) as signer, c2pa.Builder(json.dumps(manifest(title, notes))) as builder:
            builder.sign(signer, kind, source, target)


def manifest(title: str, notes: Mapping[str, str]) -> dict[str, Any]:
    """The manifest of a result: made by MMFA with a trained model, with the result's notes."""
    action = {"action": "c2pa.created", "digitalSourceType": MADE, "softwareAgent": {"name": "MMFA", "version": _version()}}
    return {
        "claim_generator_info": [{"name": "MMFA", "version": _version()}],
        "title": title,
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": [action]}},
            {"label": "org.mmfa.notes", "data": dict(notes)},
        ],
    }


def load_signer(certificate: Path, key: Path, algorithm: str, timestamps: str = "") -> FileSigner:
    """A signer from PEM files. Raises ConfigError when a file cannot be read, or the package c2pa-python is not installed."""
    _library()
    parts = []
    for where, path in (("provenance.certificate", certificate), ("provenance.key", key)):
        try:
            parts.append(path.read_bytes())
        except OSError as error:
            raise ConfigError(f"{str(path)!r} cannot be read ({reason_of(error)})", where=where, fix="name a PEM file") from error
        if b"-----BEGIN" not in parts[-1] or b"\0" in parts[-1]:
            raise ConfigError(f"{str(path)!r} is no PEM file", where=where, fix="convert it: openssl x509 -in FILE -out FILE.pem")
    return FileSigner(parts[0], parts[1], algorithm, timestamps)


def read_credentials(path: Path) -> dict[str, Any]:
    """The active manifest of a signed file with ``validation_state``, {} for one that is not signed. Raises ConfigError without c2pa-python."""
    c2pa = _library()
    try:
        with path.open("rb") as file, c2pa.Reader(_format(path), file) as reader:
            body = json.loads(reader.json())
    except c2pa.C2paError.ManifestNotFound:
        return {}
    return {**body["manifests"][body["active_manifest"]], "validation_state": body.get("validation_state", "")}


def _format(path: Path) -> str:
    kinds = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime", ".png": "image/png"}
    return kinds.get(path.suffix.lower(), "image/jpeg")


def _library() -> Any:
    try:
        import c2pa
    except (ImportError, OSError, RuntimeError) as error:
        fix = "pip install 'mmfa[c2pa]', or leave provenance.certificate empty"
        raise ConfigError(f"signing needs the package c2pa-python, which cannot be used ({error})", where="provenance", fix=fix) from error
    return c2pa


def _version() -> str:
    try:
        return metadata.version("mmfa")
    except metadata.PackageNotFoundError:
        return "0"
