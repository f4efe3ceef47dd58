"""Kind 6: sound is a companion of the picture; no fault of it fails a result."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from disc_media import disc_plan, swinging, write_clip, write_portrait
from field_media import MAN, copy_packets, noise_at, pictures, sound, sound_frames, write

from mmfa_components.registry import Registry
from pipelines.media import VideoWriter, open_video
from pipelines.runs.run import run_plan


def heard(path: Path, rate: int = 44100) -> np.ndarray:
    """The sound of a file as mono samples from the time of its first picture on."""
    with av.open(str(path)) as file:
        first = next(file.decode(video=0))
        origin = float(first.pts * first.time_base)
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
    data = np.zeros(rate * 10, np.float32)
    at = 0
    with av.open(str(path)) as file:
        for frame in file.decode(audio=0):
            told = round((float(frame.pts * frame.time_base) - origin) * rate)
            at = told if abs(told - at) > 0.015 * rate else at  # some containers round to milliseconds
            frame.pts = None
            for part in resampler.resample(frame):
                values = part.to_ndarray()[0]
                if at >= 0:
                    data[at : at + len(values)] = values
                at += len(values)
    return data


def lag(result: np.ndarray, wanted: np.ndarray, rate: int = 44100) -> tuple[float, float]:
    """Seconds by which the result comes late, and the correlation there (1: the same)."""
    n = 1 << int(np.ceil(np.log2(len(result) + len(wanted))))
    both = np.fft.irfft(np.fft.rfft(result, n) * np.conj(np.fft.rfft(wanted, n)))
    at = int(both.argmax())
    score = both[at] / (np.linalg.norm(result) * np.linalg.norm(wanted) + 1e-9)
    return (at if at < n // 2 else at - n) / rate, float(score)


def carried(tmp_path: Path, clip: Path) -> tuple[Path, list[str]]:
    """A result with the times of ``clip`` and its sound, and what was told about it."""
    with open_video(clip) as reader:
        stamps = [frame.pts for frame in reader.frames()]
        info = reader.info
    grey = torch.full((1, 32, 32, 3), 90, dtype=torch.uint8)
    writer = VideoWriter(tmp_path / "result.mp4", 32, 32, info.time_base, info.rate, audio_from=clip)
    with writer:
        for stamp in stamps:
            writer.write(grey, [stamp])
    return tmp_path / "result.mp4", writer.warnings


SMALL = [p[::4, ::4] for p in pictures(MAN, 24)]


def make_avi_mp3(path: Path) -> Path:
    return write(path / "a.avi", SMALL, codec="mpeg4", audio=[sound_frames(sound(0.8), 44100, "s16p")], audio_codec="libmp3lame")


def make_camera(path: Path) -> Path:
    square = [np.ascontiguousarray(p[:80, :80]) for p in SMALL]
    voice = sound_frames(sound(0.8, 11024)[:1], 11024, "u8")
    return write(path / "a.avi", square, codec="mjpeg", pixel_format="yuvj420p", audio=[voice], audio_codec="pcm_u8")


def make_wide(path: Path) -> Path:
    return write(path / "a.mkv", SMALL, audio=[sound_frames(sound(0.8, 192000), 192000, "s16")], audio_codec="pcm_s16le")


def make_ts(path: Path) -> Path:
    return write(path / "a.ts", SMALL, audio=[sound_frames(sound(0.8, 48000), 48000)])


def make_vorbis(path: Path) -> Path:
    voice = sound_frames(sound(0.8, 48000), 48000)
    return write(path / "a.webm", SMALL, codec="libvpx", options={"deadline": "realtime"}, audio=[voice], audio_codec="libopus")


@pytest.mark.parametrize("make", [make_avi_mp3, make_camera, make_wide, make_ts, make_vorbis])
def test_sound_of_any_kind_is_carried_in_step(tmp_path: Path, make: Any) -> None:
    clip = make(tmp_path)
    result, warnings = carried(tmp_path, clip)
    assert warnings == []
    late, alike = lag(heard(result), heard(clip))
    assert abs(late) < 0.02
    assert alike > 0.8


def test_two_recordings_joined_stay_in_step(tmp_path: Path) -> None:
    data = b""
    voice = sound(1.6, 48000)
    parts = (voice[:, :24000], voice[:, 24000:43200])  # the first sound is longer than its picture of 0.4 s
    for number, part in enumerate(parts):
        buffer = io.BytesIO()
        write(buffer, SMALL[12 * number : 12 * number + 12], audio=[sound_frames(part, 48000)], form="mpegts")
        data += buffer.getvalue()
    (tmp_path / "joined.ts").write_bytes(data)
    result, _ = carried(tmp_path, tmp_path / "joined.ts")
    made = heard(result, 48000)
    second = parts[1].mean(0)[4800:14400]
    late, alike = lag(made, second, 48000)
    assert late == pytest.approx(0.4 + 0.1, abs=0.03), "the second sound goes with the second picture"
    assert alike > 0.2


@pytest.mark.parametrize(("codec", "form", "suffix"), [("aac", "fltp", ".mp4"), ("libmp3lame", "s16p", ".mkv")])
def test_damaged_parts_of_the_sound_are_left_out_and_the_rest_is_in_step(tmp_path: Path, codec: str, form: str, suffix: str) -> None:
    whole = write(tmp_path / f"whole{suffix}", SMALL, audio=[sound_frames(sound(0.8), 44100, form)], audio_codec=codec)
    broken = copy_packets(whole, tmp_path / f"broken{suffix}", edit=noise_at("audio", 10, 14))
    result, warnings = carried(tmp_path, broken)
    assert len(warnings) <= 1
    late, alike = lag(heard(result)[22050:], heard(whole)[22050:])
    assert abs(late) < 0.02
    assert alike > 0.8


def test_sound_that_cannot_be_decoded_gives_a_result_without_it(tmp_path: Path, registry: Registry, screen: Any) -> None:
    whole = write(tmp_path / "whole.mkv", SMALL, audio=[sound_frames(sound(0.8), 44100, "s16p")], audio_codec="libmp3lame")
    discs = write_clip(tmp_path / "discs.mp4", swinging(20))
    broken = tmp_path / "broken.mkv"
    with av.open(str(discs)) as i, av.open(str(whole)) as s, av.open(str(broken), "w") as o:
        to, sound_to = o.add_stream_from_template(i.streams.video[0]), o.add_stream_from_template(s.streams.audio[0])
        for packet in i.demux(video=0):
            if packet.size:
                packet.stream = to
                o.mux(packet)
        for packet in s.demux(audio=0):
            if packet.size:
                made = av.Packet(bytes(packet.size))
                made.pts, made.dts, made.time_base, made.duration = packet.pts, packet.dts, packet.time_base, packet.duration
                made.stream = sound_to
                o.mux(made)
    report = run_plan(disc_plan(tmp_path, [write_portrait(tmp_path / "p.png")], [broken]), registry, screen.console)
    job = report.jobs[0]
    assert job.status == "done", screen.text
    assert len(job.warnings) == 1
    assert "sound" in job.warnings[0]
    assert screen.text.count(job.warnings[0]) == 1


def test_of_several_sounds_the_default_is_carried(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    voice = sound(1.6)
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=30)
        stream.width, stream.height = 160, 88
        tracks: list[Any] = [out.add_stream("aac", rate=44100, layout="stereo") for _ in range(2)]
        tracks[0].disposition, tracks[1].disposition = 0, av.stream.Disposition.default
        for k, image in enumerate(SMALL):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:88]), format="rgb24")
            frame.pts = k
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        for track, part in zip(tracks, (np.zeros((2, 35280), np.float32), voice[:, :35280]), strict=True):
            for frame in sound_frames(part, 44100):
                out.mux(track.encode(frame))
            out.mux(track.encode(None))
    result, _ = carried(tmp_path, path)
    assert lag(heard(result), voice[:, :35280].mean(0))[1] > 0.5
