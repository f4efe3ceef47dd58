"""Records: checks at construction, indexing, joining, spans, and the fingerprint that cache keys are made of."""

from __future__ import annotations

import pickle
from collections.abc import Mapping

import attrs
import numpy as np
import pytest
import torch
from torch import Tensor

from mmfa_components import records
from mmfa_components.errors import MMFAError, RecordError
from mmfa_components.records import FaceDetections, FaceTrack, Frames, Motion, Record, Scores, tensor

ALL = [c for c in vars(records).values() if isinstance(c, type) and issubclass(c, Record) and c is not Record]
DTYPES: Mapping[str, torch.dtype] = {"float": torch.float32, "int": torch.int64, "bool": torch.bool, "uint8": torch.uint8}


def filled(record: type[Record], frames: int = 5, seed: int = 0) -> dict[str, Tensor]:
    """Random tensors that fit ``record``: "N" and "M" are ``frames``, every other letter has a size of its own."""
    draw = torch.Generator().manual_seed(seed)
    letters: dict[str, int] = {"N": frames, "M": frames}
    made = {}
    for field in attrs.fields(record):
        shape = [letters.setdefault(s, 2 + len(letters)) if isinstance(s, str) else s for s in field.metadata["mmfa_shape"]]
        values = torch.rand(shape, generator=draw) * 100
        kind = field.metadata["mmfa_dtype"]
        made[field.name] = values > 50 if kind == "bool" else values.to(DTYPES[kind])
    return made


def same(a: Record, b: Record) -> bool:
    return type(a) is type(b) and all(torch.equal(x, b.tensors()[n]) and x.dtype == b.tensors()[n].dtype for n, x in a.tensors().items())


def motion(frames: int = 6) -> Motion:
    return Motion(**filled(Motion, frames))


# ---- every record --------------------------------------------------------------------------------------------------------
def test_all_records_are_exported() -> None:
    exported = {name for name in records.__all__ if isinstance(getattr(records, name), type) and issubclass(getattr(records, name), Record)}
    assert {c.__name__ for c in ALL} == exported - {"Record"}
    assert len(ALL) >= 18


@pytest.mark.parametrize("record", ALL)
def test_every_record_is_built_and_taken_apart(record: type[Record]) -> None:
    made = filled(record)
    value = record.from_tensors(made)
    assert list(value.tensors()) == list(record.tensor_fields()) == list(made)
    assert same(value, record.from_tensors(value.tensors()))
    assert len(value) == 5
    assert value.device == torch.device("cpu")


@pytest.mark.parametrize("record", ALL)
def test_every_field_refuses_a_wrong_rank_dtype_and_type(record: type[Record]) -> None:
    made = filled(record)
    for name, values in made.items():
        where = f"{record.__name__}.{name}"
        wrong_dtype = values.to(torch.int64 if values.is_floating_point() else torch.float32)
        for wrong, text in ((values[None], "expected shape"), (wrong_dtype, "expected dtype"), (values.numpy(), "expected a torch tensor")):
            with pytest.raises(RecordError, match=text) as caught:
                record(**{**made, name: wrong})
            assert caught.value.where == where


@pytest.mark.parametrize("record", ALL)
def test_every_fixed_size_is_checked(record: type[Record]) -> None:
    made = filled(record)
    for name, shape in record.tensor_fields().items():
        for axis, size in enumerate(shape):
            if isinstance(size, int):
                longer = torch.cat([made[name], made[name].narrow(axis, 0, 1)], dim=axis)
                with pytest.raises(RecordError, match=f"axis {axis}"):
                    record(**{**made, name: longer})


@pytest.mark.parametrize("record", [c for c in ALL if len(c.tensor_fields()) > 1])
def test_fields_must_have_the_same_number_of_frames(record: type[Record]) -> None:
    made = filled(record)
    last = list(made)[-1]
    with pytest.raises(RecordError, match="= 5, got"):
        record(**{**made, last: made[last][:4]})


@pytest.mark.parametrize("record", ALL)
def test_every_framewise_record_is_cut_and_joined(record: type[Record]) -> None:
    value = record.from_tensors(filled(record, 7))
    if not record.framewise():
        for use in (lambda: value[0:1], lambda: list(value.spans(2)), lambda: record.concatenate([value])):
            with pytest.raises(RecordError, match="framewise"):
                use()
        return
    parts = list(value.spans(3))
    assert [len(p) for p in parts] == [3, 3, 1]
    assert same(record.concatenate(parts), value)


def test_only_detections_are_not_framewise() -> None:
    assert [c for c in ALL if not c.framewise()] == [FaceDetections]


@pytest.mark.parametrize("record", ALL)
def test_every_record_without_frames(record: type[Record]) -> None:
    assert len(record.from_tensors(filled(record, 0))) == 0


def test_records_survive_pickling_and_are_frozen() -> None:
    value = motion()
    assert same(pickle.loads(pickle.dumps(value)), value)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        value.scale = torch.ones(6)  # type: ignore[misc]


# ---- messages ------------------------------------------------------------------------------------------------------------
def test_message_names_field_shape_and_axis() -> None:
    made = filled(Motion)
    with pytest.raises(RecordError) as caught:
        Motion(**{**made, "translation": torch.zeros(5, 2)})
    assert str(caught.value) == "Motion.translation: expected shape (N, 3), got (5, 2) (axis 1)"
    with pytest.raises(RecordError) as caught:
        Motion(**{**made, "scale": torch.zeros(4)})
    assert str(caught.value) == "Motion.scale: expected shape (N) with N = 5, got (4,) (axis 0)"
    assert isinstance(caught.value, MMFAError)
    assert isinstance(caught.value, ValueError)


def test_devices_must_agree() -> None:
    made = filled(Motion)
    with pytest.raises(RecordError, match=r"Motion\.expression: on meta, but .* on cpu"):
        Motion(**{**made, "expression": made["expression"].to("meta")})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_float_is_a_float(dtype: torch.dtype) -> None:
    assert Frames(torch.zeros(1, 3, 2, 2, dtype=dtype)).rgb.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.complex64, torch.uint8, torch.bool, torch.float32])
def test_complex_bytes_and_flags_are_no_integers(dtype: torch.dtype) -> None:
    made = filled(FaceDetections)
    assert len(FaceDetections(**{**made, "image": made["image"].to(torch.int32)})) == 5
    with pytest.raises(RecordError, match="expected dtype int"):
        FaceDetections(**{**made, "image": torch.zeros(5, dtype=dtype)})


def test_from_tensors_names_missing_and_unknown_fields() -> None:
    made = filled(Motion)
    made["tilt"] = made.pop("scale")
    with pytest.raises(RecordError, match="missing scale, unknown tilt"):
        Motion.from_tensors(made)


# ---- indexing, spans, joining --------------------------------------------------------------------------------------------
def test_slices_lists_and_masks_pick_frames() -> None:
    value = motion()
    picked = [1, 4]
    mask = torch.zeros(6, dtype=torch.bool)
    mask[picked] = True
    for index in (slice(1, 6, 3), picked, torch.tensor(picked), mask, [bool(m) for m in mask]):
        chosen = value[index]
        for name, values in value.tensors().items():
            assert torch.equal(chosen.tensors()[name], values[[1, 4]])
    assert len(value[[]]) == len(value[6:]) == len(value[mask & False]) == 0
    assert torch.equal(value[-2:].scale, value.scale[4:])


@pytest.mark.parametrize(
    "index",
    [0, -1, True, np.int64(0), None, "a", (slice(0, 1), 0), torch.tensor(1), [6], [0.5], torch.zeros(2, 2, dtype=torch.int64),
     torch.ones(5, dtype=torch.bool), torch.zeros(6, dtype=torch.uint8), slice(None, None, -1)],
)  # fmt: skip
def test_other_indices_are_refused(index: object) -> None:
    with pytest.raises(RecordError, match="Motion"):
        motion()[index]  # type: ignore[index]


def test_records_are_not_iterated_frame_by_frame() -> None:
    with pytest.raises(RecordError, match="keeps its frame axis"):
        iter(motion()).__next__()


@pytest.mark.parametrize(("length", "sizes"), [(1, [1] * 6), (4, [4, 2]), (6, [6]), (100, [6])])
def test_spans_cover_all_frames_in_order(length: int, sizes: list[int]) -> None:
    value = motion()
    parts = list(value.spans(length))
    assert [len(p) for p in parts] == sizes
    assert torch.equal(torch.cat([p.scale for p in parts]), value.scale)


@pytest.mark.parametrize("length", [0, -1])
def test_spans_need_a_length(length: int) -> None:
    with pytest.raises(RecordError, match="at least one frame"):
        list(motion().spans(length))


def test_joining_says_what_does_not_fit() -> None:
    value = motion()
    with pytest.raises(RecordError, match="at least one part"):
        Motion.concatenate([])
    with pytest.raises(RecordError, match="part 1 is a Frames"):
        Motion.concatenate([value, Frames(torch.zeros(1, 3, 2, 2))])  # type: ignore[list-item]
    with pytest.raises(RecordError, match=r"Motion\.expression: part 1 is \(6, 9\)"):
        Motion.concatenate([value, attrs.evolve(value, expression=torch.zeros(6, 9))])
    with pytest.raises(RecordError, match=r"part 1 is .* on meta"):
        Motion.concatenate([value, value.to("meta")])


def test_map_and_to_change_every_tensor_and_check_again() -> None:
    value = motion()
    half = value.map(lambda t: t.to(torch.float16))
    assert {t.dtype for t in half.tensors().values()} == {torch.float16}
    assert {t.device.type for t in value.to("meta").tensors().values()} == {"meta"}
    assert value.to("meta").device == torch.device("meta")
    with pytest.raises(RecordError, match="expected dtype float"):
        value.map(lambda t: t > 0)
    track = FaceTrack(**filled(FaceTrack))
    assert track.to("cpu").found.dtype == torch.bool


# ---- declarations --------------------------------------------------------------------------------------------------------
@attrs.frozen(eq=False)
class Tagged(Record):
    """A record with an open shape and a field that is no tensor."""

    values: Tensor = tensor("N", "...")
    name: str = ""


@attrs.frozen(eq=False)
class Bare(Record):
    """A record without tensors."""


@attrs.frozen(eq=False)
class Single(Record):
    """A record of one number."""

    value: Tensor = tensor(dtype="int")


def test_open_shapes_and_other_fields() -> None:
    for shape in ((4,), (4, 2), (4, 1, 2, 3)):
        assert len(Tagged(torch.zeros(shape))) == 4
    with pytest.raises(RecordError, match=r"expected shape \(N, \.\.\.\), got \(\)"):
        Tagged(torch.tensor(1.0))
    assert Tagged(torch.zeros(4, 2), name="a")[1:].name == "a"
    assert Tagged.concatenate([Tagged(torch.zeros(1), name="a"), Tagged(torch.ones(1), name="b")]).name == "a"


def test_records_without_frames_or_tensors() -> None:
    assert len(Single(torch.tensor(3))) == 1
    assert not Single.framewise()
    assert not Bare.framewise()
    for use in (lambda: len(Bare()), lambda: Bare().device):
        with pytest.raises(RecordError, match="no tensor fields"):
            use()


@pytest.mark.parametrize("shape", [("...", 3), ("N", 1.5), (-1,), ("N", "a b"), (True,), ("N", "")])
def test_wrong_declarations_are_refused(shape: tuple[int | str, ...]) -> None:
    with pytest.raises(ValueError, match="a shape is made of"):
        tensor(*shape)


def test_unknown_dtype_class_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown dtype class 'complex'"):
        tensor("N", dtype="complex")  # type: ignore[arg-type]


def declare(
    name: str = "Thing", schema: int = 1, field: str = "points", shape: tuple[int | str, ...] = ("N", 3), dtype: str = "float"
) -> type[Record]:
    made = attrs.make_class(name, {field: tensor(*shape, dtype=dtype)}, bases=(Record,), frozen=True, eq=False)  # type: ignore[arg-type]
    made.schema = schema
    return made


def test_fingerprint_changes_with_everything_that_is_declared() -> None:
    base = declare()
    assert declare().fingerprint() == base.fingerprint()
    changed = [declare("Other"), declare(schema=2), declare(field="corners"), declare(shape=("N", 4)), declare(shape=("M", 3)),
               declare(dtype="int")]  # fmt: skip
    prints = [c.fingerprint() for c in changed]
    assert len({base.fingerprint(), *prints}) == len(prints) + 1
    assert len({c.fingerprint() for c in ALL}) == len(ALL)
    assert Scores.fingerprint().startswith("Scores/1/")


def test_fingerprint_does_not_depend_on_the_process() -> None:
    assert Motion.fingerprint() == "Motion/1/61169780809a"  # a changed value makes every cache of Motion useless: raise schema on purpose
