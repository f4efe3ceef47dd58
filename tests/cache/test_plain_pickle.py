"""Pickles are read without being run; LivePortrait's templates become motion files with nothing lost."""

from __future__ import annotations

import math
import pickle
import pickletools
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cache.liveportrait import MIRROR, deformation_of, import_template, motion_of, read_template
from cache.motion_file import MotionFile
from cache.plain_pickle import read_plain_pickle
from mmfa_components.errors import CacheError
from mmfa_components.geometry.compose import compose_points
from mmfa_components.geometry.edit import angles_of
from mmfa_components.geometry.rotations import euler_to_matrix
from mmfa_components.records import LivePortraitTemplate

PLAIN = {
    "a": [1, -2, 1 << 70, 2.5, None, True, "text", b"bytes"], ("t", 1): {"n": ()}, "array": np.arange(6, dtype=np.float32).reshape(1, 2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "big": np.arange(3, dtype=">i4"), "flag": np.array([True, False]),
    "scalar": np.float32(1.5), "count": np.int64(7), "empty": np.zeros((0, 4)),
}  # fmt: skip


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.shape == b.shape and bool((a == b).all())
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_comes_back_from_every_protocol(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(PLAIN, protocol))
    got = read_plain_pickle(path)
    assert same(PLAIN, got)
    assert type(got["scalar"]) is float


class Evil:
    """What a harmful pickle looks like."""

    def __init__(self, call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call


def touch(target: str) -> None:
    Path(target).write_text("run")


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_nothing_is_run(tmp_path: Path, protocol: int) -> None:
    target = tmp_path / "was_run"
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps({"motion": [Evil((touch, (str(target),)))]}, protocol))
    with pytest.raises(CacheError, match=r"asks for .*touch, which is refused"):
        read_plain_pickle(path)
    assert not target.exists()
    pickle.loads(path.read_bytes())  # a real reader would have
    assert target.exists()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (pickle.dumps(Evil((eval, ("1",)))), r"builtins\.eval"),
        (b"cos\nsystem\n(S'true'\ntR.", r"os\.system"),
        (b"(S'true'\nios\nsystem\n.", "the instruction INST"),
        (pickle.dumps(Fraction(1, 2)), r"fractions\.Fraction"),
        (pickle.dumps({1, 2}, 4), "EMPTY_SET"),
        (pickle.dumps(torch.zeros(2)), "refused"),
        (pickle.dumps(np.array([{}], object)), "array of objects"),
        (pickle.dumps(np.array(["text"])), "dtype"),
        (pickle.dumps(np.dtype("f4")), "class or function as a value"),
        (b"\x80\x04cnumpy\nndarray\n.", "class or function as a value"),
        (b"\x80\x04cnumpy\nndarray\n)R.", "a call of"),
        (b"\x80\x04P1\n.", "PERSID"),
        (b"hello", "no pickle"),
        (b"", "no pickle"),
        (pickle.dumps([1, 2])[:-4], "no pickle"),
        (b"\x80\x04h\x05.", "no pickle"),
        (b"\x80\x04a.", "no pickle"),
    ],
)
def test_everything_else_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(data)
    with pytest.raises(CacheError, match=words):
        read_plain_pickle(path)


def test_arrays_whose_bytes_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    good = pickle.dumps(np.arange(4, dtype=np.float32), 2)
    assert b"K\x04\x85" in good  # the shape (4,)
    path.write_bytes(good.replace(b"K\x04\x85", b"K\x09\x85"))
    with pytest.raises(CacheError, match="has 16 bytes"):
        read_plain_pickle(path)


def test_itself_inside_itself_ends(tmp_path: Path) -> None:
    endless: list[Any] = []
    endless.append(endless)
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(endless))
    with pytest.raises(CacheError, match="nested too deeply"):
        read_plain_pickle(path)


# ---- templates -----------------------------------------------------------------------------------------------------------
def template(frames: int = 5, points: int = 21) -> dict[str, Any]:
    """As LivePortrait's make_motion_template writes it: x = s (kp R + exp) + t with points as rows."""
    rng = np.random.default_rng(3)
    angles = torch.tensor(rng.uniform(-0.4, 0.4, (3, frames)))
    motion = []
    kp = rng.normal(size=(1, points, 3)).astype(np.float32)
    for rotation in euler_to_matrix(*angles).numpy():
        matrix = rotation.T[None].astype(np.float32)
        scale, t = rng.uniform(1, 1.5, (1, 1)).astype(np.float32), rng.normal(size=(1, 3)).astype(np.float32)
        exp = 0.1 * rng.normal(size=(1, points, 3)).astype(np.float32)
        x_s = scale[..., None] * (kp @ matrix + exp) + t[:, None]
        motion.append({"scale": scale, "R": matrix, "exp": exp, "t": t, "kp": kp, "x_s": x_s})
    ratios = {"c_eyes_lst": [np.full((1, 2), 0.3, np.float32)] * frames, "c_lip_lst": [np.full((1, 1), 0.1, np.float32)] * frames}
    return {"n_frames": frames, "output_fps": 29.97, "motion": motion, **ratios}


def write(folder: Path, body: Any) -> Path:
    path = folder / "d0.pkl"
    path.write_bytes(pickle.dumps(body))
    return path


def test_its_composition_is_ours_exactly(tmp_path: Path) -> None:
    """The posed keypoints that the template itself holds come out of eq. 5, z mirrored: it points away from the viewer there."""
    record, _ = read_template(write(tmp_path, template()))
    motion = motion_of(record)
    points = compose_points(record.kp * MIRROR, deformation_of(record).delta, motion.rotation, motion.scale, motion.translation)
    torch.testing.assert_close(points, record.x_s * MIRROR, rtol=1e-5, atol=1e-5)


def test_its_heads_nod_and_turn_as_in_their_clips(tmp_path: Path) -> None:
    """Turns about LivePortrait's x and y go the other way about ours, since z is mirrored; the one about z stays."""
    body = template(3)
    angles = {"pitch": 10.0, "yaw": 20.0, "roll": 5.0}
    x, y, z = (torch.tensor(math.radians(a)) for a in angles.values())
    turns = [
        torch.tensor([[1, 0, 0], [0, x.cos(), -x.sin()], [0, x.sin(), x.cos()]]),
        torch.tensor([[y.cos(), 0, y.sin()], [0, 1, 0], [-y.sin(), 0, y.cos()]]),
        torch.tensor([[z.cos(), -z.sin(), 0], [z.sin(), z.cos(), 0], [0, 0, 1]]),
    ]
    for frame, turn in zip(body["motion"], turns, strict=True):
        frame["R"] = turn.T[None].numpy()  # points are rows there
    record, _ = read_template(write(tmp_path, body))
    ours = angles_of(motion_of(record))  # yaw, pitch, roll
    torch.testing.assert_close(ours, torch.tensor([[0.0, -10.0, 0.0], [20.0, 0.0, 0.0], [0.0, 0.0, 5.0]]), atol=1e-3, rtol=0)


def test_a_template_becomes_a_motion_file_and_nothing_is_lost(tmp_path: Path) -> None:
    body = template()
    output = tmp_path / "out" / "d0.motion.zip"
    header = import_template(write(tmp_path, body), output)
    file = MotionFile(output)
    assert header == file.header
    assert header.rate == Fraction(2997, 100)
    assert header.reference == 0
    assert not header.has_expression
    assert header.animator["name"] == "liveportrait"
    assert file.read(0, 5).expression.shape == (5, 0)
    kept = file.more(LivePortraitTemplate.__name__)
    for name, key in (("matrix", "R"), ("exp", "exp"), ("kp", "kp"), ("x_s", "x_s"), ("t", "t")):
        assert np.array_equal(kept.tensors()[name].numpy(), np.concatenate([m[key] for m in body["motion"]]))
    assert kept.tensors()["eyes"].shape == (5, 2)
    assert kept.tensors()["lip"].shape == (5, 1)


def test_older_and_shorter_templates_are_read(tmp_path: Path) -> None:
    body = template()
    for frame in body["motion"]:
        frame["R_d"] = frame.pop("R")
        del frame["kp"], frame["x_s"]
    del body["c_eyes_lst"], body["output_fps"]
    record, rate = read_template(write(tmp_path, body))
    assert rate == 25
    assert record.kp.shape == (5, 0, 3)
    assert record.eyes.shape == (5, 0)
    assert record.exp.shape == (5, 21, 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b.pop("motion"), "no list 'motion'"),
        (lambda b: b["motion"][2].pop("t"), "'t'"),
        (lambda b: b["motion"][2].update(R=np.zeros((2, 2))), "no motion template"),
        (lambda b: b["motion"][2].update(t=np.full((1, 3), np.nan)), "no finite numbers"),
        (lambda b: b.update(output_fps=0), "output_fps"),
    ],
)
def test_what_is_no_template_is_told(tmp_path: Path, change: Any, words: str) -> None:
    body = template()
    change(body)
    with pytest.raises(CacheError, match=words):
        read_template(write(tmp_path, body))


def test_the_reader_never_meets_the_unpickler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, template())

    def no(*_: Any, **__: Any) -> None:
        raise AssertionError("unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, no)
    assert len(read_template(path)[0]) == 5
    assert pickletools.genops  # what it walks with
