"""What a result says of its origin before it gets its name: signed where the user gave a certificate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from mmfa_components.errors import ConfigError
from pipelines.config.faults import Faults
from pipelines.config.schema import Provenance
from pipelines.media import content_digest
from pipelines.media.credentials import SIGNED, FileSigner, load_signer

Seal = Callable[[Path], None]


def signer_of(provenance: Provenance) -> FileSigner | None:
    """The signer of a pipeline, None when it signs nothing. Raises ConfigError (see load_signer)."""
    if not provenance.certificate and not provenance.key:
        return None
    if not provenance.certificate or not provenance.key:
        missing = "key" if provenance.certificate else "certificate"
        raise ConfigError("is missing", where=f"provenance.{missing}", fix="give both certificate and key, or neither")
    paths = [Path(p).expanduser() for p in (provenance.certificate, provenance.key)]
    return load_signer(paths[0], paths[1], provenance.algorithm, provenance.timestamps)


def seal_of(provenance: Provenance, path: Path, notes: Mapping[str, str]) -> Seal | None:
    """Signs the finished file that will be called ``path``; None when nothing is signed."""
    signer = signer_of(provenance)
    return None if signer is None else lambda made: signer.sign(made, path.name, notes)


def seal_facts(provenance: Provenance) -> dict[str, str]:
    """What of the signing decides a result: {} without, else the certificate's digest."""
    if not provenance.certificate:
        return {}
    return {"certificate": content_digest(Path(provenance.certificate).expanduser()), "algorithm": provenance.algorithm}


def check_provenance(provenance: Provenance, suffix: str, faults: Faults) -> None:
    """Note what is wrong with the signing of results with this suffix; a trial signature is made."""
    try:
        signer = signer_of(provenance)
        if signer is None:
            return
        signer.try_out()
    except ConfigError as error:
        faults.add_error(error)
    if suffix not in SIGNED:
        faults.add("provenance", f"{suffix} files cannot be signed", "choose another output.codec, such as libx264, or do not sign")
