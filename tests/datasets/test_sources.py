"""Source files of a data set: globs, manifests, identities, splits."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.config.faults import Faults
from pipelines.datasets.schema import DatasetInputs, SourceFile, Split
from pipelines.datasets.sources import find_sources, split_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("ann/a1.mp4", "ann/a2.mp4", "bob/b1.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def found(folder: Path, split: Split = Split(), **inputs: object) -> tuple[tuple[SourceFile, ...], str]:  # noqa: B008
    faults = Faults()
    files = find_sources(DatasetInputs(**inputs), split, folder, faults)  # type: ignore[arg-type]
    return files, "\n".join(map(str, faults.items))


def test_files_of_one_folder_show_one_person(folder: Path) -> None:
    files, _ = found(folder, files=("{here}/**/*.mp4",))
    assert [(Path(f.name).name, Path(f.identity).name) for f in files] == [("a1.mp4", "ann"), ("a2.mp4", "ann"), ("b1.mp4", "bob")]
    assert len({f.name for f in files}) == 3
    assert {f.split for f in files[:2]} == {files[0].split}


def test_or_every_file_another(folder: Path) -> None:
    files, _ = found(folder, files=("{here}/ann/*.mp4",), identity="file")
    assert len({f.identity for f in files}) == 2


def test_a_file_named_twice_is_there_once(folder: Path) -> None:
    files, _ = found(folder, files=("{here}/ann/*.mp4", "{here}/ann/a1.mp4"))
    assert len(files) == 2


def test_the_split_depends_on_the_person_alone_and_has_its_share() -> None:
    people = [f"p{i}" for i in range(4000)]
    chosen = [split_of(p, Split(0.2)) for p in people]
    assert abs(chosen.count("val") / 4000 - 0.2) < 0.02
    assert chosen == [split_of(p, Split(0.2)) for p in people]
    assert chosen != [split_of(p, Split(0.2, seed=1)) for p in people]
    more = [split_of(p, Split(0.3)) for p in people]
    assert all(b == "val" for a, b in zip(chosen, more, strict=True) if a == "val")  # a larger share keeps those held out
    assert {split_of(p, Split(0.0)) for p in people} == {"train"}


def test_a_manifest(folder: Path) -> None:
    (folder / "m.csv").write_text("file,identity,split\nann/a1.mp4,ann,train\nbob/b1.mp4,bob,val\nann/a2.mp4,ann,test\n")
    files, text = found(folder, manifest="{here}/m.csv")
    assert text == ""
    assert [(f.name, f.identity, f.split) for f in files] == [("ann/a1.mp4", "ann", "train"), ("bob/b1.mp4", "bob", "val")]
    assert files[0].path == folder / "ann" / "a1.mp4"


def test_a_manifest_of_files_alone(folder: Path) -> None:
    (folder / "m.csv").write_text("file\nann/a1.mp4\nann/a2.mp4\n")
    files, _ = found(folder, manifest="{here}/m.csv")
    assert [f.identity for f in files] == ["ann", "ann"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path\na.mp4\n", "has no column 'file'"),
        ("file\na.mp4\na.mp4\n", "line 3: 'a.mp4' is there a second time"),
        ("file,identity\n,ann\n", "line 2: names no file"),
        ("file,identity,split\na.mp4,ann,train\nb.mp4,ann,val\n", "the same person is in train and in val: ann"),
    ],
)
def test_faults_of_manifests(folder: Path, text: str, words: str) -> None:
    (folder / "m.csv").write_text(text)
    assert words in found(folder, manifest="{here}/m.csv")[1]


def test_faults_of_inputs(folder: Path) -> None:
    assert "names no file" in found(folder)[1]
    assert "keep one of the two" in found(folder, files=("a",), manifest="b")[1]
    assert "cannot be read" in found(folder, manifest="{here}/none.csv")[1]
    assert "no file matches" in found(folder, files=("{here}/*.avi",))[1]
