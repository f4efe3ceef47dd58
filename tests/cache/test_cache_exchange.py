"""``mmfa cache`` export, import, show --plot."""

from __future__ import annotations

import json
import pickle
from fractions import Fraction
from pathlib import Path

import attrs
import pytest
import torch
from PIL import Image
from test_plain_pickle import template

from cache import CacheKey, RecordCache
from cache.__main__ import main
from cache.motion_file import MotionFile
from mmfa_components.geometry.rotations import euler_to_matrix
from mmfa_components.records import FaceTrack, Motion, Timestamps

ANIMATOR = {"kind": "animator", "name": "toy", "version": "1", "options": {}, "weights": {"toy": "ab"}}


def motion(frames: int = 30) -> Motion:
    turn = torch.linspace(-0.5, 0.5, frames)
    rotation = euler_to_matrix(turn, 0.3 * turn, 0 * turn)
    expression = torch.rand(frames, 4, generator=torch.Generator().manual_seed(1))
    return Motion(rotation, 1 + 0.1 * turn, torch.stack([turn, -turn, 0 * turn], -1), expression)


def filled(folder: Path) -> CacheKey:
    """A cache with the motion, times and track of a clip."""
    cache = RecordCache(folder)
    key = CacheKey.of(Motion, [ANIMATOR], {}, "digest", "clip.mp4")
    cache.put(key, motion())
    cache.put(CacheKey.of(Timestamps, [], {}, "digest", "clip.mp4", "exact"), Timestamps(1001 * torch.arange(30)))
    yes, ones = torch.ones(30, dtype=torch.bool), torch.ones(30)
    track = FaceTrack(yes, yes, torch.zeros(30, 4, 3), ones, torch.ones(30, 4), *torch.zeros(2, 30).long())
    cache.put(CacheKey.of(FaceTrack, [], {}, "digest", "clip.mp4"), track)
    return key


def test_out_of_one_cache_into_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = filled(tmp_path / "a")
    output = tmp_path / "out" / "clip"
    assert main(["export", key.digest[:10], str(output), "--rate", "24000/1001", "--folder", str(tmp_path / "a")], {}) == 0
    path = tmp_path / "out" / "clip.motion.zip"
    header = MotionFile(path).header
    assert (header.rate, header.time_base, header.source, header.animator) == (Fraction(24000, 1001), Fraction(1, 24000), "clip.mp4", ANIMATOR)
    assert header.source_digest == "digest"
    assert MotionFile(path).pts(0, 3).tolist() == [0, 1001, 2002]
    assert main(["import", str(path), "--folder", str(tmp_path / "b")], {}) == 0
    assert key.digest[:12] in capsys.readouterr().out
    back = RecordCache(tmp_path / "b").get(key)
    assert all(torch.equal(a, b) for a, b in zip(back.tensors().values(), motion().tensors().values(), strict=True))
    assert main(["verify", "--folder", str(tmp_path / "b")], {}) == 0


def test_the_clips_own_clock_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = RecordCache(tmp_path)
    key = CacheKey.of(Motion, [ANIMATOR], {}, "other", "vfr.mp4")
    cache.put(key, motion(4))
    command = ["export", key.digest[:10], str(tmp_path / "clip"), "--folder", str(tmp_path)]
    assert main(command, {}) == 2
    assert "--rate 25" in capsys.readouterr().err
    plain = CacheKey.of(Timestamps, [], {}, "other", "vfr.mp4", "exact")
    clock = attrs.evolve(plain, notes={"rate": "30000/1001", "time_base": "1/90000"})
    assert clock.digest == plain.digest  # entries of before stay what they are
    cache.put(clock, Timestamps(torch.tensor([0, 3000, 9000, 9500])))
    assert main(command, {}) == 0
    file = MotionFile(tmp_path / "clip.motion.zip")
    assert (file.header.rate, file.header.time_base) == (Fraction(30000, 1001), Fraction(1, 90000))
    assert file.pts(0, 4).tolist() == [0, 3000, 9000, 9500]


def test_a_template_becomes_a_motion_file_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "d0.pkl").write_bytes(pickle.dumps(template()))
    assert main(["import", str(tmp_path / "d0.pkl")], {}) == 0
    assert "expression cannot" in capsys.readouterr().out
    assert len(MotionFile(tmp_path / "d0.motion.zip")) == 5
    assert main(["import", str(tmp_path / "d0.motion.zip"), "--folder", str(tmp_path / "b")], {}) == 2
    assert "was not exported from a cache" in capsys.readouterr().err


def test_curves_are_drawn_of_entries_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ["--folder", str(tmp_path / "a")]
    key = filled(tmp_path / "a")
    assert main(["show", key.digest[:10], "--plot", str(tmp_path / "plots" / "a.png"), *folder], {}) == 0
    assert main(["export", key.digest[:10], str(tmp_path / "clip"), "--rate", "30", *folder], {}) == 0
    capsys.readouterr()
    assert main(["show", str(tmp_path / "clip.motion.zip"), "--plot", str(tmp_path / "b.png"), "--json", *folder], {}) == 0
    assert json.loads(capsys.readouterr().out)["rate"] == "30"
    for path in (tmp_path / "plots" / "a.png", tmp_path / "b.png"):
        image = Image.open(path).convert("RGB")
        assert image.width > 1000
        colours = {c for _, c in image.getcolors(1 << 20) or []}
        assert {(31, 95, 168), (201, 84, 20), (30, 130, 76)} <= colours  # yaw, pitch and roll have their lines
    pixels = image.load()
    assert pixels is not None
    line = [(x, y) for x in range(80, 1070) for y in range(68, 210) if pixels[x, y] == (31, 95, 168)]
    first = sum(y for x, y in line if x < 120) / sum(x < 120 for x, _ in line)
    last = sum(y for x, y in line if x > 1030) / sum(x > 1030 for x, _ in line)
    assert first - last > 80  # yaw rises from the lower left to the upper right


def test_what_cannot_be_exchanged_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(tmp_path / "a")
    folder = ["--folder", str(tmp_path / "a")]
    track = CacheKey.of(FaceTrack, [], {}, "digest", "clip.mp4").digest
    for command, words in (
        (["export", track, str(tmp_path / "x"), "--rate", "25"], "not the motion of a clip"),
        (["export", track, str(tmp_path / "x"), "--rate", "fast"], "no frame rate"),
        (["show", track, "--plot", str(tmp_path / "x.png")], "curves are drawn of motions"),
        (["import", str(tmp_path / "nothing.pkl")], "cannot be read"),
    ):
        assert main([*command, *folder], {}) == 2
        assert words in capsys.readouterr().err
