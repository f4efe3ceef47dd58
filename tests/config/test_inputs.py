"""Jobs from globs, lists and tables: order, pairing, names, everything missing at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.config.faults import Faults
from pipelines.config.inputs import LONGEST_NAME, find_files, make_jobs, natural_key, unique_names
from pipelines.config.schema import Inputs, Job, Output
from pipelines.media import suffix_of


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder whose name holds the magic characters of globs, with portraits and clips."""
    folder = tmp_path / "my [set] 1"
    for name in ("p/b10.png", "p/b9.png", "p/A1.png", "p/.hidden.png", "c/x.mp4", "c/y.mp4", "c/deep/x.mp4", "p/folder.png/inside.txt"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def jobs_of(inputs: Inputs, here: Path, output: Output | None = None) -> tuple[Job, ...]:
    faults = Faults()
    jobs = make_jobs(inputs, output or Output(folder="out"), here, faults)
    assert [str(f) for f in faults.items] == []
    return jobs


def faults_of(inputs: Inputs, here: Path, output: Output | None = None) -> str:
    faults = Faults()
    make_jobs(inputs, output or Output(folder="out"), here, faults)
    return "\n".join(str(f) for f in faults.items)


def test_globs_are_sorted_naturally_without_hidden_files_and_folders(here: Path) -> None:
    faults = Faults()
    found = find_files(["{here}/p/*.png"], "inputs.sources", here, faults)
    assert [p.name for p in found] == ["A1.png", "b9.png", "b10.png"]
    deep = find_files(["{here}/**/*.mp4"], "inputs.driving", here, faults)
    assert [str(p.relative_to(here)) for p in deep] == ["c/deep/x.mp4", "c/x.mp4", "c/y.mp4"]
    assert faults.items == []


def test_natural_key_is_a_total_order() -> None:
    names = ["clip10", "clip9", "Clip9", "clip", "9", "10a", "b"]
    wanted = ["9", "10a", "b", "clip", "Clip9", "clip9", "clip10"]
    assert sorted(names, key=natural_key) == wanted
    names.reverse()
    assert sorted(names, key=natural_key) == wanted


def test_paths_start_at_the_working_directory(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)
    (job,) = jobs_of(Inputs(("p/b9.png",), ("c/x.mp4",)), here)
    assert job == Job(Path("p/b9.png"), Path("c/x.mp4"), Path("out/b9__x.mp4"))


def test_here_with_parent_folders_is_written_out(here: Path) -> None:
    (job,) = jobs_of(Inputs(("{here}/../my [set] 1/p/b9.png",), ("{here}/c/x.mp4",)), here)
    assert job.source == here / "p/b9.png"


def test_product_takes_every_pair_once_and_zip_one_with_one(here: Path) -> None:
    sources, driving = ("{here}/p/b9.png", "{here}/p/*.png"), ("{here}/c/x.mp4", "{here}/c/y.mp4", "{here}/c/x.mp4")
    names = [j.output.name for j in jobs_of(Inputs(sources, driving), here)]
    assert names == ["b9__x.mp4", "b9__y.mp4", "A1__x.mp4", "A1__y.mp4", "b10__x.mp4", "b10__y.mp4"]
    names = [j.output.name for j in jobs_of(Inputs(("{here}/p/*.png",), driving, "zip"), here)]
    assert names == ["A1__x.mp4", "b9__y.mp4", "b10__x.mp4"]


def test_zip_of_different_lengths_is_an_error(here: Path) -> None:
    text = faults_of(Inputs(("{here}/p/*.png",), ("{here}/c/x.mp4",), "zip"), here)
    assert "inputs.pairing" in text
    assert "3 sources and 1 driving" in text


def test_everything_missing_is_told_at_once(here: Path) -> None:
    inputs = Inputs(("{here}/p/b8.png", "{here}/p/*.jpg", "{here}/p"), ("{here}/nowhere/*.mp4",))
    text = faults_of(inputs, here)
    assert "inputs.sources[0]: there is no file" in text
    assert "b9.png" in text  # did you mean
    assert "inputs.sources[1]: no file matches" in text
    assert "inputs.sources[2]: '{here}/p' is a folder" in text
    assert "inputs.driving[0]: no file matches" in text
    assert "nowhere' does not exist" in text


def test_no_inputs_and_both_kinds_of_inputs_are_errors(here: Path) -> None:
    text = faults_of(Inputs(), here)
    assert "inputs.sources: names no file" in text
    assert "inputs.driving: names no file" in text
    assert "both jobs and sources" in faults_of(Inputs(("a",), (), jobs="jobs.csv"), here)


def test_equal_names_are_told_apart_the_same_way_every_time(here: Path) -> None:
    inputs = Inputs(("{here}/p/b9.png",), ("{here}/c/x.mp4", "{here}/c/deep/x.mp4"))
    first, second = (jobs_of(inputs, here) for _ in range(2))
    assert [j.output.name for j in first] == ["b9__x.mp4", "b9__x_2.mp4"]
    assert first == second


def test_unique_names_never_take_a_name_that_another_has_by_itself() -> None:
    assert unique_names(["a", "a", "a_2", "A"]) == ["a", "a_3", "a_2", "A_4"]
    assert unique_names(["a"], taken=["A"]) == ["a_2"]
    long = ["é" * 200 + "x", "é" * 200 + "y"]
    short = unique_names(long)
    assert len(set(short)) == 2
    assert all(len(name.encode()) <= LONGEST_NAME for name in short)


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("libx264", ".mp4"),
        ("h264_nvenc", ".mp4"),
        ("ffv1", ".mkv"),
        ("prores_ks", ".mov"),
        ("libvpx", ".mkv"),
        ("gif", ".gif"),
        ("libwebp_anim", ".webp"),
    ],
)
def test_the_container_follows_the_codec(codec: str, suffix: str, here: Path) -> None:
    assert suffix_of(codec) == suffix
    (job,) = jobs_of(Inputs(("{here}/p/b9.png",), ("{here}/c/x.mp4",)), here, Output(codec=codec))
    assert job.output.suffix == suffix


def test_results_never_overwrite_inputs_reports_or_sheets(here: Path) -> None:
    clip = here / "c" / "b9__x.mp4"
    clip.write_bytes(b"x")
    inputs = Inputs(("{here}/p/b9.png",), ("{here}/c/x.mp4", "{here}/c/b9__x.mp4"))
    assert "would overwrite an input" in faults_of(inputs, here, Output(folder=str(here / "c")))
    one = Inputs(("{here}/p/b9.png",), ("{here}/c/x.mp4",))
    assert "name of the result" in faults_of(one, here, Output(folder="out", report="b9__x.mp4"))
    assert "overwrite the input" in faults_of(one, here, Output(folder=str(here / "p"), contact_sheet="b9.png"))


def write(here: Path, name: str, text: str) -> Inputs:
    (here / name).write_text(text, encoding="utf-8")
    return Inputs(jobs="{here}/" + name)


def test_a_csv_of_jobs(here: Path) -> None:
    text = "\ufeffsource, driving ,output,face,reference\r\n{here}/p/b9.png,{here}/c/x.mp4,,,\r\n\r\n{here}/p/b10.png,{here}/c/y.mp4,named,1,12\n"
    inputs = write(here, "jobs.csv", text + '"{here}/p/b9.png","{here}/c/deep/x.mp4",,largest,auto\n')
    first, second, third = jobs_of(inputs, here)
    assert first == Job(here / "p/b9.png", here / "c/x.mp4", Path("out/b9__x.mp4"))
    assert second == Job(here / "p/b10.png", here / "c/y.mp4", Path("out/named.mp4"), 1, 12)
    assert third == Job(here / "p/b9.png", here / "c/deep/x.mp4", Path("out/b9__x_2.mp4"), "largest", "auto")


def test_a_jsonl_of_jobs(here: Path) -> None:
    lines = '{"source": "{here}/p/b9.png", "driving": "{here}/c/x.mp4", "output": "o.mkv", "face": 2}\n\n'
    inputs = write(here, "jobs.jsonl", lines + '{"source": "{here}/p/b9.png", "driving": "{here}/c/x.mp4", "reference": null}\n')
    first, second = jobs_of(inputs, here)
    assert (first.output, first.face, first.reference) == (Path("out/o.mkv"), 2, None)
    assert (second.output, second.face, second.reference) == (Path("out/b9__x.mp4"), None, None)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("j.csv", "", "lists no job"),
        ("j.csv", "source,driving\n", "lists no job"),
        ("j.csv", "source,drivng\na,b\n", "did you mean 'driving'?"),
        ("j.csv", "source\na\n", "j.csv:1: the header line has no column driving"),
        ("j.csv", "source,driving,source\na,b,c\n", "there twice"),
        ("j.csv", "source,driving\na,b,c\n", "j.csv:2: has 3 cells"),
        ("j.csv", "source,driving\n,{here}/c/x.mp4\n", "j.csv:2: source is missing"),
        ("j.csv", "source,driving\n{here}/p/b8.png,{here}/c/z.mp4\n", "j.csv:2: source: there is no file"),
        ("j.csv", 'source,driving\n"a,b\n', "is not valid CSV"),
        ("j.csv", "source,driving,face\n{here}/p/b9.png,{here}/c/x.mp4,-1\n", "j.csv:2: face: expected 'largest'"),
        ("j.csv", "source,driving,reference\n{here}/p/b9.png,{here}/c/x.mp4,aut\n", "did you mean 'auto'?"),
        ("j.csv", "source,driving,output\n{here}/p/b9.png,{here}/c/x.mp4,../o\n", "not a plain file name"),
        ("j.csv", "source,driving,output\n{here}/p/b9.png,{here}/c/x.mp4,o\n{here}/p/b9.png,{here}/c/y.mp4,O.mp4\n", "already the output of"),
        ("j.jsonl", "{\n", "j.jsonl:1: is not valid JSON"),
        ("j.jsonl", "\n[1]\n", "j.jsonl:2: is not a JSON object"),
        ("j.jsonl", '{"source": 3, "driving": "x"}\n', "j.jsonl:1: source: expected a text, got 3"),
        ("j.jsonl", '{"source": "a", "driving": "x", "fase": 1}\n', "did you mean 'face'?"),
        ("j.jsonl", '{"source": "{here}/p/b9.png", "driving": "{here}/c/x.mp4", "face": true}\n', "face: expected"),
        ("j.txt", "source,driving\n", "neither .csv nor .jsonl"),
    ],
)
def test_faults_of_tables_name_file_and_line(here: Path, name: str, text: str, words: str) -> None:
    assert words in faults_of(write(here, name, text), here)


def test_tables_that_cannot_be_read(here: Path) -> None:
    assert "No such file" in faults_of(Inputs(jobs="{here}/none.csv"), here)
    (here / "latin.csv").write_bytes("source,driving\né,b\n".encode("latin-1"))
    assert "not UTF-8" in faults_of(Inputs(jobs="{here}/latin.csv"), here)


def test_all_lines_of_a_table_are_checked(here: Path) -> None:
    text = faults_of(write(here, "j.csv", "source,driving,face\n{here}/p/b9.png,{here}/c/x.mp4,-1\n{here}/p/b9.png,,\n"), here)
    assert "j.csv:2: face" in text
    assert "j.csv:3: driving" in text


def test_a_missing_file_is_its_own_jobs_affair_unless_all_are(here: Path) -> None:
    inputs = write(here, "j.csv", "source,driving\n{here}/p/b8.png,{here}/c/x.mp4\n{here}/p/b9.png,{here}/c/x.mp4\n")
    missing, good = jobs_of(inputs, here)
    assert missing.source == here / "p/b8.png"
    assert good.output == Path("out/b9__x.mp4")


@pytest.mark.parametrize("mark", [";", "\t"])
def test_tables_of_spreadsheets_have_other_separators(here: Path, mark: str) -> None:
    text = "source,driving,output\n{here}/p/b9.png,{here}/c/x.mp4,a\n".replace(",", mark)
    (job,) = jobs_of(write(here, "j.csv", text), here)
    assert job == Job(here / "p/b9.png", here / "c/x.mp4", Path("out/a.mp4"))


def test_file_urls_are_paths(here: Path) -> None:
    spaced = here / "p" / "a b.png"
    spaced.write_bytes(b"x")
    (job,) = jobs_of(Inputs((spaced.as_uri(),), (f"{(here / 'c').as_uri()}/x.mp4",)), here)
    assert (job.source, job.driving) == (spaced, here / "c/x.mp4")


@pytest.mark.parametrize(("name", "codec", "fix"), [("a.gif", "libx264", 'codec = "gif"'), ("a.webm", "libx264", "name it .mp4")])
def test_a_container_that_does_not_take_the_encoder(here: Path, name: str, codec: str, fix: str) -> None:
    inputs = write(here, "j.csv", "source,driving,output\n{here}/p/b9.png,{here}/c/x.mp4," + name + "\n")
    text = faults_of(inputs, here, Output(folder="out", codec=codec))
    assert f"files do not hold {codec}" in text
    assert fix in text
    fitting = {"a.gif": "gif", "a.webm": "libvpx-vp9"}[name]
    (job,) = jobs_of(inputs, here, Output(folder="out", codec=fitting))
    assert job.output == Path("out", name)


def test_the_demo_media_are_found_from_any_folder(here: Path) -> None:
    jobs = jobs_of(Inputs(("{demo}/portraits/*",), ("{demo}/clips/*.mp4",)), here)
    assert {job.source.name for job in jobs} == {"astronaut.png", "hiker.jpg"}
