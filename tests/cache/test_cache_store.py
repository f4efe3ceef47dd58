"""What is written is read back: all records, all dtypes, any span lengths, bounded memory."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import attrs
import pytest
import torch
from sample_records import Calibration, Jacobians, entry_folder, key_of, make, record_classes, same, write

from cache import CacheKey, RecordCache
from cache import arrays as array_settings
from mmfa_components.errors import CacheError
from mmfa_components.records import Expression, FaceDetections, Frames, Identity, Motion, Record, tensor


@pytest.mark.parametrize("record", record_classes(), ids=lambda c: c.__name__)
def test_every_record_comes_back_bit_for_bit(record: type[Record], tmp_path: Path) -> None:
    cache, key, wanted = RecordCache(tmp_path), key_of(record), make(record)
    assert cache.get(key) is None
    cache.put(key, wanted)
    got = cache.get(key)
    assert type(got) is record
    assert same(got, wanted)
    assert next(iter(got.tensors().values())).is_contiguous()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, -0.0, float("nan"), 1e-7])
def test_float_dtypes_and_special_values_are_kept(dtype: torch.dtype, value: float, tmp_path: Path) -> None:
    cache, key = RecordCache(tmp_path), key_of(Expression)
    wanted = Expression(torch.full((130, 4), value, dtype=dtype))  # -0.0 and 0.0: whole chunks of Zarr's fill value
    cache.put(key, wanted)
    got = cache.get(key)
    assert got is not None
    assert same(got, wanted)


def test_a_dtype_that_cannot_be_stored_is_refused(tmp_path: Path) -> None:
    cache = RecordCache(tmp_path)
    with pytest.raises(CacheError, match=r"float8_e5m2 cannot be stored"):
        cache.put(key_of(Expression), Expression(torch.zeros(2, 3).to(torch.float8_e5m2)))
    assert list((tmp_path / "v1" / "tmp").iterdir()) == []


@pytest.mark.parametrize("lengths", [[300], [1] * 7, [64, 64, 1], [3, 0, 200, 61], [128, 128]])
def test_spans_of_any_length_make_one_record(lengths: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_settings, "SHARD_FRAMES", 64)
    cache, key, whole = RecordCache(tmp_path), key_of(Motion), make(Motion, sum(lengths))
    with cache.writer(key, Motion) as writer:
        start = 0
        for length in lengths:
            writer.append(whole[start : start + length])
            start += length
    stored = cache.open(key)
    assert stored is not None
    assert len(stored) == len(whole)
    for start, stop in [(0, len(whole)), (0, 1), (2, 5), (60, 70), (5, 5), (6, 999)]:
        assert same(stored.read(start, stop), whole[start:stop])


def test_entry_is_a_zarr_group_that_says_what_it_is(tmp_path: Path) -> None:
    import zarr

    key = key_of(Jacobians)
    wanted = make(Jacobians)
    RecordCache(tmp_path).put(key, wanted)
    folder = entry_folder(tmp_path, key)
    group = zarr.open_group(folder, mode="r")
    assert group.metadata.zarr_format == 3
    for name, value in wanted.tensors().items():
        assert torch.equal(torch.from_numpy(group[name][...]), value)
    preimage = json.loads((folder / "preimage.json").read_text())
    assert preimage["hashed"] == key.preimage
    assert preimage["input_name"] == "clip.mp4"
    marker = json.loads((folder / "complete.json").read_text())
    on_disk = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert set(marker["files"]) == on_disk - {"complete.json"}
    assert marker["frames"] == 5


def test_records_without_frames_are_whole(tmp_path: Path) -> None:
    cache, key = RecordCache(tmp_path), key_of(Calibration)
    cache.put(key, make(Calibration))
    stored = cache.open(key)
    assert stored is not None
    with pytest.raises(CacheError, match="stored whole"):
        stored.read(0, 0)
    empty = FaceDetections(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, 6, 2))
    cache.put(key_of(FaceDetections), empty)
    got = cache.get(key_of(FaceDetections))
    assert got is not None
    assert same(got, empty)


def test_no_frames_is_a_record_too(tmp_path: Path) -> None:
    cache, key = RecordCache(tmp_path), key_of(Motion)
    cache.put(key, make(Motion, 0))
    got = cache.get(key)
    assert got is not None
    assert len(got) == 0
    assert got.expression.shape == (0, 16)


def test_bounded_memory_for_a_long_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_settings, "SHARD_BYTES", 1 << 20)
    cache, key = RecordCache(tmp_path), key_of(Frames)
    span = Frames(torch.rand(4, 3, 64, 64))  # 192 kB
    with cache.writer(key, Frames) as writer:
        kept = []
        for _ in range(200):  # 38 MB in all
            writer.append(span)
            kept.append(sum(len(p) for p in writer._pending))  # type: ignore[attr-defined]
    assert max(kept) * 4 * 3 * 64 * 64 <= 1 << 20
    stored = cache.open(key)
    assert stored is not None
    assert len(stored) == 800
    tracemalloc.start()  # NumPy reports its arrays here
    for start in range(0, 800, 16):
        stored.read(start, start + 16)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 << 20, f"{peak / 2**20:.1f} MB held while reading 3 MB at a time of 38"


# ---- the writer --------------------------------------------------------------------------------------------------------
def test_an_exception_publishes_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    cache, key = RecordCache(tmp_path), key_of(Motion)
    with pytest.raises(KeyboardInterrupt):
        write(cache, key, [make(Motion)], error=KeyboardInterrupt)
    assert cache.open(key) is None
    assert list((tmp_path / "v1" / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (make(Motion).map(lambda t: t.double()), "rotation is float64"),
        (attrs.evolve(make(Motion), expression=torch.zeros(5, 3)), "expression is float32 (3,)"),
        (make(Expression), "got a Expression"),
    ],
)
def test_a_span_that_does_not_continue_the_record_is_refused(second: Record, message: str, tmp_path: Path) -> None:
    cache, key = RecordCache(tmp_path), key_of(Motion)
    with pytest.raises(CacheError) as caught:
        write(cache, key, [make(Motion), second])
    assert message in caught.value.what
    assert "clip.mp4" in caught.value.where
    assert cache.open(key) is None


def test_nothing_appended_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="nothing was appended"), RecordCache(tmp_path).writer(key_of(Motion), Motion):
        pass


def test_whole_records_are_appended_once(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="already written"):
        write(RecordCache(tmp_path), key_of(Calibration), [make(Calibration)] * 2)


def test_records_with_fields_that_are_no_arrays_are_refused(tmp_path: Path) -> None:
    @attrs.frozen(eq=False)
    class Named(Record):
        points: torch.Tensor = tensor("N", 2)
        name: str = ""

    with pytest.raises(CacheError, match="no arrays: name"):
        RecordCache(tmp_path).put(key_of(Named), Named(torch.zeros(1, 2), "x"))


def test_a_key_of_another_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="the key was made for Motion"):
        RecordCache(tmp_path).put(key_of(Motion), make(Expression))


def test_the_first_of_two_writers_wins(tmp_path: Path) -> None:
    cache, key = RecordCache(tmp_path), key_of(Motion)
    with cache.writer(key, Motion) as outer:
        outer.append(make(Motion, seed=1))
        cache.put(key, make(Motion, seed=2))
    got = cache.get(key)
    assert got is not None
    assert same(got, make(Motion, seed=2))
    assert list((tmp_path / "v1" / "tmp").iterdir()) == []


# ---- keys and modes ----------------------------------------------------------------------------------------------------
def test_a_changed_schema_is_a_miss(tmp_path: Path) -> None:
    @attrs.frozen(eq=False)
    class Pose(Record):
        angles: torch.Tensor = tensor("N", 3)

    cache = RecordCache(tmp_path)
    cache.put(key_of(Pose), make(Pose))
    assert cache.get(key_of(Pose)) is not None
    Pose.schema = 2
    assert cache.get(key_of(Pose)) is None


def test_mode_off_does_nothing(tmp_path: Path) -> None:
    RecordCache(tmp_path).put(key_of(Motion), make(Motion))
    off = RecordCache(tmp_path, "off")
    assert off.get(key_of(Motion)) is None
    off.put(key_of(Identity), make(Identity))
    assert RecordCache(tmp_path).get(key_of(Identity)) is None


def test_mode_read_never_writes(tmp_path: Path) -> None:
    RecordCache(tmp_path).put(key_of(Motion), make(Motion))
    before = _state(tmp_path)
    reader = RecordCache(tmp_path, "read")
    assert reader.get(key_of(Motion)) is not None
    reader.put(key_of(Identity), make(Identity))
    assert reader.get(key_of(Identity)) is None
    assert _state(tmp_path) == before
    assert RecordCache(tmp_path / "missing", "read").get(key_of(Motion)) is None
    assert not (tmp_path / "missing").exists()


def test_reading_counts_as_use(tmp_path: Path) -> None:
    cache, key = RecordCache(tmp_path), key_of(Motion)
    cache.put(key, make(Motion))
    marker = entry_folder(tmp_path, key) / "complete.json"
    os.utime(marker, (1000, 1000))
    assert cache.open(key) is not None
    assert marker.stat().st_mtime > 1000


def test_unknown_mode_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="unknown mode 'maybe'"):
        RecordCache(tmp_path, "maybe")  # type: ignore[arg-type]


def test_input_name_is_kept_for_people(tmp_path: Path) -> None:
    key = CacheKey.of(Motion, [], {}, "00", "Zoë [final].mp4", "float32")
    RecordCache(tmp_path).put(key, make(Motion))
    assert json.loads((entry_folder(tmp_path, key) / "preimage.json").read_text())["input_name"] == "Zoë [final].mp4"


def _state(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in sorted(folder.rglob("*"))}
