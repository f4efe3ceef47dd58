"""Motion files: what is written comes back, the header can be read by anyone, damage and foreign files are told."""

from __future__ import annotations

import json
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from cache.motion_file import FORMAT, MotionFile, RecordRows, is_motion_file, write_motion
from cache.zip_arrays import ROWS
from mmfa_components.errors import CacheError
from mmfa_components.records import Motion, RegionalMotion, Timestamps


def motion(frames: int, width: int = 6) -> Motion:
    g = torch.Generator().manual_seed(frames)
    rotation = torch.eye(3).expand(frames, 3, 3) + 0.01 * torch.randn(frames, 3, 3, generator=g)
    return Motion(rotation, torch.rand(frames, generator=g), torch.randn(frames, 3, generator=g), torch.randn(frames, width, generator=g))


def write(path: Path, record: Motion, pts: list[int] | None = None, **header: Any) -> Path:
    header = {"rate": Fraction(24000, 1001), "time_base": Fraction(1, 24000), "source": "clip.mp4", **header}
    write_motion(path, RecordRows(record), None if pts is None else RecordRows(Timestamps(torch.tensor(pts))), **header)
    return path


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    record = motion(5)
    path = write(tmp_path / "a.motion.zip", record, [0, 1001, 2002, 5005, 6006], square=(1.5, 2.5, 100.0, 0.0), reference=3, animator={"name": "x"})
    file = MotionFile(path)
    assert is_motion_file(path)
    assert len(file) == 5
    for name, value in record.tensors().items():
        assert torch.equal(getattr(file.read(0, 5), name), value)
        assert torch.equal(getattr(file.read(1, 4), name), value[1:4])
    assert file.pts(1, 4).tolist() == [1001, 2002, 5005]
    header = file.header
    assert (header.rate, header.time_base, header.square, header.reference) == (Fraction(24000, 1001), Fraction(1, 24000), (1.5, 2.5, 100.0, 0.0), 3)
    assert (header.source, header.animator, header.record) == ("clip.mp4", {"name": "x"}, Motion.fingerprint())
    assert [p.name for p in tmp_path.iterdir()] == ["a.motion.zip"]


def test_a_long_motion_is_written_in_pieces_and_regions_are_kept(tmp_path: Path) -> None:
    plain = motion(ROWS + 3, 2)
    regional = RegionalMotion(*plain.tensors().values(), plain.expression + 1, plain.expression + 2)
    file = MotionFile(write(tmp_path / "a.motion.zip", regional))
    assert file.record is RegionalMotion
    got = file.read(ROWS - 1, ROWS + 3)
    assert torch.equal(got.mouth, regional.mouth[-4:])
    assert file.pts(0, 3).tolist() == [0, 1, 2]
    assert file.header.time_base == Fraction(1001, 24000)


def test_the_header_can_be_read_without_mmfa_and_nothing_is_pickled(tmp_path: Path) -> None:
    with zipfile.ZipFile(write(tmp_path / "a.motion.zip", motion(4))) as opened:
        header = json.loads(opened.read("zarr.json"))["attributes"]["mmfa_motion"]
        assert all(info.filename.endswith("zarr.json") or "/c/" in info.filename for info in opened.infolist())
    assert header["format"] == FORMAT
    assert header["record"].startswith("Motion/")
    assert "consent" in header["note"]
    assert header["frames"] == 4


def rewrite(path: Path, change: Any) -> Path:
    """The same zip with entries changed: ``change(name, data)`` gives the new bytes, None to leave the entry out."""
    with zipfile.ZipFile(path) as opened:
        entries = [(name, opened.read(name)) for name in opened.namelist()]
    with zipfile.ZipFile(path, "w") as out:
        for name, data in entries:
            new = change(name, data)
            if new is not None:
                out.writestr(name, new)
    return path


def header_with(**changes: Any) -> Any:
    def change(name: str, data: bytes) -> bytes:
        if name != "zarr.json":
            return data
        body = json.loads(data)
        body["attributes"]["mmfa_motion"].update(changes)
        return json.dumps(body).encode()

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda name, data: None if name == "scale/c/0" else data, "scale/c/0 is missing"),
        (lambda name, data: None if name.startswith("pts/") else data, "damaged"),
        (lambda name, data: data[:-3] + b"abc" if name == "scale/c/0" else data, "damaged"),
        (header_with(format=99), "is of format 99"),
        (header_with(record="Motion/1/000000000000"), "was made for Motion/1/000000000000"),
        (header_with(record="Dance/1/0"), "'Dance' that is not known"),
        (header_with(record="Frames/1/0"), "was made for"),
        (header_with(frames=7), "rows instead of 7"),
        (header_with(rate="0"), "does not hold together"),
        (lambda name, data: data.replace(b"mmfa_motion", b"something__"), "no motion file"),
    ],
)
def test_damaged_and_foreign_files_are_told(tmp_path: Path, change: Any, words: str) -> None:
    path = rewrite(write(tmp_path / "a.motion.zip", motion(4)), change)
    with pytest.raises(CacheError, match=words):
        MotionFile(path).read(0, 4)


def test_a_chunk_too_large_to_unpack_is_refused(tmp_path: Path) -> None:
    def change(name: str, data: bytes) -> bytes:
        if name != "expression/zarr.json":
            return data
        body = json.loads(data)
        body["chunk_grid"]["configuration"]["chunk_shape"] = [1 << 20, 1 << 10]
        return json.dumps(body).encode()

    with pytest.raises(CacheError, match="pieces of"):
        MotionFile(rewrite(write(tmp_path / "a.motion.zip", motion(4)), change))


def test_files_that_are_no_motion(tmp_path: Path) -> None:
    (tmp_path / "text.motion.zip").write_text("hello")
    whole = write(tmp_path / "a.motion.zip", motion(4)).read_bytes()
    (tmp_path / "cut.motion.zip").write_bytes(whole[: len(whole) // 2])
    for name in ("text.motion.zip", "cut.motion.zip"):
        assert not is_motion_file(tmp_path / name)
        with pytest.raises(CacheError, match="no motion file, or is damaged"):
            MotionFile(tmp_path / name)
    with pytest.raises(CacheError, match="cannot be read"):
        MotionFile(tmp_path / "nowhere.motion.zip")


def test_values_that_are_no_numbers_are_told(tmp_path: Path) -> None:
    record = motion(4)
    record.scale[2] = torch.nan
    file = MotionFile(write(tmp_path / "a.motion.zip", record))
    file.read(0, 2)
    with pytest.raises(CacheError, match="no finite numbers"):
        file.read(1, 4)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CacheError, match="cannot be written"):
        write(tmp_path / "file" / "a.motion.zip", motion(4))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
