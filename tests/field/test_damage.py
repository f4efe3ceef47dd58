"""Kinds 7, 8 and 18: a damaged packet is not the rest of the file, sizes change on the way, and healthy files are not warned of."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from disc_face import Disc, draw
from disc_media import decompose_video, disc_plan, swinging, write_clip, write_portrait
from field_media import MAN, copy_packets, noise_at, pictures, resized, sound, sound_frames, write

from mmfa_components.errors import MediaError
from mmfa_components.registry import Registry
from pipelines.media import open_video, probe
from pipelines.runs.run import run_plan

SMALL = [np.ascontiguousarray(p[::4, ::4]) for p in pictures(MAN, 30)]


def read(path: Path) -> tuple[list[float], str]:
    """Times in seconds of all frames, and what was said about the file."""
    with open_video(path) as reader:
        return [float(f.pts * reader.info.time_base) for f in reader.frames()], reader.damage


@pytest.mark.parametrize(
    ("codec", "suffix", "options"),
    [("libx264", ".mp4", {"g": "10"}), ("libx264", ".ts", {"g": "10"}), ("libx265", ".mkv", {"x265-params": "keyint=10:log-level=none"}),
     ("mpeg4", ".avi", {"g": "10"}), ("libvpx-vp9", ".webm", {"g": "10", "deadline": "realtime"}), ("mjpeg", ".mov", {})],
)  # fmt: skip
@pytest.mark.parametrize("where", [12, 28])
def test_a_hole_costs_a_frame_or_two_not_the_rest(tmp_path: Path, codec: str, suffix: str, options: dict[str, str], where: int) -> None:
    form = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    whole = write(tmp_path / f"whole{suffix}", SMALL, codec=codec, pixel_format=form, options=options)
    broken = copy_packets(whole, tmp_path / f"hole{suffix}", edit=noise_at("video", where, where + 1, 4))
    times, said = read(broken)
    wanted, _ = read(whole)
    assert len(times) >= 27
    assert set(times) <= set(wanted), "every frame has its own time"
    if len(times) < 30 and suffix != ".ts":  # in a transport stream the packet is gone as well
        assert "left out" in said


def test_the_gap_is_named(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.mp4", SMALL, options={"g": "10", "bf": "0"})
    times, said = read(copy_packets(whole, tmp_path / "hole.mp4", edit=noise_at("video", 12, 13, 4)))
    assert len(times) == 29
    assert said == "a frame cannot be decoded and is left out, at 0.40 s"


def test_a_file_that_begins_between_keyframes_is_read_from_the_first_one_on(tmp_path: Path) -> None:
    options = {"g": "10", "keyint_min": "10", "deadline": "realtime"}
    whole = write(tmp_path / "whole.webm", SMALL, codec="libvpx-vp9", options=options)
    times, said = read(copy_packets(whole, tmp_path / "cut.webm", keep=lambda kind, k: k >= 5))
    assert times == read(whole)[0][10:]
    assert said.startswith("5 frames cannot be decoded and are left out, at 0.17 s")


def test_noise_alone_is_no_clip(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.mp4", SMALL, options={"g": "10"})
    with pytest.raises(MediaError, match="no decodable frame"):
        probe(copy_packets(whole, tmp_path / "noise.mp4", edit=noise_at("video", 0, 99)))


def test_two_recordings_joined_go_on_in_time(tmp_path: Path) -> None:
    data = b""
    for first in (0, 12):
        buffer = io.BytesIO()
        write(buffer, SMALL[first : first + 12], form="mpegts")
        data += buffer.getvalue()
    (tmp_path / "joined.ts").write_bytes(data)
    times, said = read(tmp_path / "joined.ts")
    assert len(times) == 24
    np.testing.assert_allclose(np.diff(times), 1 / 30, atol=1e-3)
    assert said == ""


# ---- sizes ------------------------------------------------------------------------------------------
def size_changes(path: Path, frames: list[np.ndarray], sizes: list[tuple[int, int, int]]) -> Path:
    """VP8 whose picture changes: (frame to begin with, width, height)."""
    parts = []
    for number, (first, w, h) in enumerate(sizes):
        stop = sizes[number + 1][0] if number + 1 < len(sizes) else len(frames)
        buffer = io.BytesIO()
        made = [resized(f, w, h) for f in frames[first:stop]]
        write(buffer, made, codec="libvpx", form="webm", options={"deadline": "realtime", "crf": "4"})
        parts.append((first, buffer.getvalue()))
    with av.open(str(path), "w") as out:
        to: Any = None
        for first, data in parts:
            with av.open(io.BytesIO(data)) as i:
                stream = i.streams.video[0]
                to = to or out.add_stream_from_template(stream)
                for packet in i.demux(stream):
                    if packet.size:
                        packet.pts += round(Fraction(first, 30) / packet.time_base)
                        packet.dts, packet.stream = packet.pts, to
                        out.mux(packet)
    return path


def test_every_frame_has_the_probed_size(tmp_path: Path, registry: Registry, screen: Any) -> None:
    discs = [draw([Disc(160 + k, 120, 48, tint=0.5)], 320, 240).numpy() for k in range(18)]
    clip = size_changes(tmp_path / "call.webm", discs, [(0, 320, 240), (9, 240, 180), (14, 160, 120)])
    results = []
    for batch in (1, 2, 3):
        plan = disc_plan(
            tmp_path,
            [write_portrait(tmp_path / "p.png")],
            [clip],
            engine={"batch": batch},
            cache={"mode": "off"},
            output={"folder": str(tmp_path / f"out{batch}"), "quality": 1},
        )
        report = run_plan(plan, registry, screen.console)
        assert report.exit_code == 0, screen.text
        assert report.jobs[0].frames == 18
        assert "the size of the picture changes (320 x 240, 240 x 180 from frame 9" in report.jobs[0].warnings[0]
        results.append(Path(plan.jobs[0].output).read_bytes())
    assert results[0] == results[1] == results[2]
    motion = decompose_video(plan.jobs[0].output)
    assert motion.scale.max() / motion.scale.min() < 1.05
    assert (motion.translation[:, 0].diff() * 32).abs().max() < 2


def test_a_picture_of_another_shape_keeps_its_own(tmp_path: Path) -> None:
    square = np.zeros((200, 200, 3), np.uint8)
    square[50:150, 50:150] = 255
    clip = size_changes(tmp_path / "call.webm", [square] * 6, [(0, 320, 200), (3, 200, 320)])
    with open_video(clip) as reader:
        assert (reader.info.width, reader.info.height) == (320, 200)
        last = [f.rgb() for f in reader.frames()][-1].float()
    mask = last.mean(-1) > 128
    across, down = int(mask.any(0).sum()), int(mask.any(1).sum())
    assert across / down == pytest.approx(200 / 320, rel=0.1)
    assert abs(float(mask.nonzero()[:, 1].float().mean()) - 160) < 4


# ---- healthy files ----------------------------------------------------------------------------------
def make_long_sound(path: Path) -> Path:
    return write(path / "a.mkv", SMALL[:15], audio=[sound_frames(sound(2.0), 44100)])


def make_trimmed(path: Path) -> Path:
    """As phones trim: all packets are there, an edit list shows a part."""
    whole = write(path / "whole.mp4", SMALL, options={"g": "10", "bf": "0"})
    data = bytearray(whole.read_bytes())
    at = data.find(b"elst")
    # version and flags, count, duration in 1/1000 s, first time shown in units of the track
    base = probe(whole).time_base
    data[at + 12 : at + 16] = (500).to_bytes(4, "big")
    data[at + 16 : at + 20] = int(Fraction(1, 3) / base).to_bytes(4, "big")
    (path / "trimmed.mp4").write_bytes(data)
    return path / "trimmed.mp4"


def make_avi(path: Path) -> Path:
    return write(path / "a.avi", SMALL, codec="mpeg4", audio=[sound_frames(sound(0.5), 44100, "s16p")], audio_codec="libmp3lame")


@pytest.mark.parametrize("make", [make_long_sound, make_trimmed, make_avi])
def test_healthy_files_are_not_warned_of(tmp_path: Path, make: Any) -> None:
    times, said = read(make(tmp_path))
    assert len(times) >= 15
    assert said == ""


def test_a_healthy_clip_gives_no_warning_and_a_cut_off_one_gives_one(tmp_path: Path, registry: Registry, screen: Any) -> None:
    discs = [draw(d, 160, 120).numpy() for d in swinging(15)]
    healthy = write(tmp_path / "long_sound.mkv", discs, audio=[sound_frames(sound(2.0), 44100)])
    data = write_clip(tmp_path / "whole.mp4", swinging(90)).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 3 // 4])
    plan = disc_plan(tmp_path, [write_portrait(tmp_path / "p.png")], [healthy, tmp_path / "cut.mp4"])
    report = run_plan(plan, registry, screen.console)
    assert [job.status for job in report.jobs] == ["done", "done"]
    assert report.jobs[0].warnings == []
    assert len(report.jobs[1].warnings) == 1
    assert "cut off" in report.jobs[1].warnings[0]
    assert torch.isfinite(decompose_video(plan.jobs[1].output).scale).all()
